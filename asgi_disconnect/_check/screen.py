"""What `check` shows: its progress, a table of at most 100 columns, or JSON."""

import dataclasses
import importlib.metadata
import json
import sys
import textwrap
from typing import Final

from .findings import Checked, Departure, Findings, Half
from .servers import SERVERS

COLUMNS: Final = (
    ("server", 17),
    ("middleware", 12),
    ("client left", 17),
    ("told", 5),
    ("cancelled", 11),
    ("ran on for", 12),
    ("cleanup", 11),
    ("background", 12),
)
NOTHING: Final = "-"
WIDTH: Final = 99


class Progress:
    """One line that is overwritten on a terminal; elsewhere a line for each step."""

    def __init__(self, names: list[str]) -> None:
        self._states = dict.fromkeys(names, "waits")
        self._moving = sys.stderr.isatty()
        self._shown = 0

    def show(self, name: str, state: str) -> None:
        """Show how far a server is."""
        self._states[name] = state
        if self._moving:
            line = " | ".join(f"{each} {state}" for each, state in self._states.items())[:99]
            print(f"\r{line:{self._shown}}", end="", file=sys.stderr, flush=True)
            self._shown = len(line)
        else:
            print(f"{name} {state}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Erase the line."""
        if self._moving:
            print(f"\r{'':{self._shown}}\r", end="", file=sys.stderr, flush=True)


def table(findings: Findings) -> str:
    """A line for each departure."""
    lines = ["".join(f"{name:{width}}" for name, width in COLUMNS).rstrip()]
    for server in findings.servers:
        lines.append("-" * (sum(width for _, width in COLUMNS) - 2))
        failed = server.error or server.unasked
        if failed is not None:
            lines.append(f"{server.name:17}{failed.splitlines()[0][:82]}")
            continue
        for title, half in (("without", server.without), ("with", server.guarded)):
            for number, departure in enumerate(half.departures):
                name = "" if number or title == "with" else f"{server.name} {server.version}"
                cells = (name, "" if number else title, *_cells(departure, findings.patience))
                lines.append(_line(cells))
            lines.append(f"{'':29}{_remains(half)}")
    return "\n".join(lines)


def _line(cells: tuple[str, ...]) -> str:
    pairs = zip(cells, COLUMNS, strict=True)
    return "".join(f"{cell[: width - 1]:{width}}" for cell, (_, width) in pairs).rstrip()


def _cells(departure: Departure, patience: float) -> tuple[str, ...]:
    if not departure.called:
        return departure.moment, "-", "-", "not called", "-", "-"
    ran_on = f"> {patience:g} s" if departure.ran_on is None else f"{departure.ran_on:.2f} s"
    if departure.background:
        return departure.moment, NOTHING, NOTHING, ran_on, NOTHING, _background(departure)
    told, cancelled = _word(departure.told), _word(departure.cancelled)
    if departure.ignored:
        cancelled = "ignored"
    return departure.moment, told, cancelled, ran_on, _cleanup(departure), NOTHING


def _word(fact: bool) -> str:
    return "yes" if fact else "no"


def _cleanup(departure: Departure) -> str:
    if departure.cut_off:
        return "cut off"
    if departure.cut_short:
        return "cut short"
    if not (departure.told or departure.cancelled):
        return NOTHING
    return "runs on" if departure.ran_on is None or departure.swallowed else "finished"


def _background(departure: Departure) -> str:
    if departure.cut_short:
        return "cut short"
    if departure.ran_on is None:
        return "runs on"
    return "survived" if departure.ran_on > 0.02 else "none"


def _remains(half: Half) -> str:
    left = "?" if half.left_over is None else len(half.left_over)
    return f"logged: {len(half.logged)}   tasks left over: {left}"


def verdict(findings: Findings) -> str:
    """What is wrong, and what to do about it."""
    paragraphs: list[str] = []
    if not findings.target.guarded:
        option = ", websocket=True" if findings.websocket else ""
        paragraphs.append(
            "No DisconnectMiddleware is visible in the app: it was checked as if it were"
            f" app = DisconnectMiddleware(app{option})."
        )
    paragraphs += _hidden(findings)
    for server in findings.servers:
        paragraphs += [f"{server.name}: {each}" for each in server.shortcomings(findings.patience)]
    paragraphs += _why_cut_off(findings)
    warnings = [server.warning for server in findings.servers if server.warning is not None]
    paragraphs += [f"Warning: {each}" for each in dict.fromkeys(warnings)]
    left_out = [server for server in findings.servers if server.unasked is not None]
    paragraphs += [f"{each.name} was not checked: {each.unasked}" for each in left_out]
    if findings.sound:
        apart = "Apart from that, with" if warnings or left_out else "With"
        paragraphs.append(f"{apart} the middleware everything is as it should be.")
    return "\n".join(map(_wrapped, paragraphs))


def _why_cut_off(findings: Findings) -> list[str]:
    """Why cleanup is cut off, if the app is not at fault."""
    where = [
        server.name
        for server in findings.servers
        if any(departure.cut_off for departure in server.guarded.departures)
    ]
    said: list[str] = []
    if any(SERVERS[name].on_trio for name in where if name in SERVERS):
        said.append("On trio, cleanup that awaits shields itself: trio.CancelScope(shield=True).")
    version = importlib.metadata.version("anyio")
    if where and tuple(map(int, version.split(".")[:2])) < (4, 14):
        behind = [layer.name for layer in findings.target.layers if layer.base_http]
        said.append(
            f"anyio is {version}: before 4.14, cleanup is cut off behind"
            f" {' and '.join(behind) or 'BaseHTTPMiddleware'} and in streams. Upgrade it: python -m"
            " pip install --upgrade anyio"
        )
    return said


def _wrapped(paragraph: str) -> str:
    lines = paragraph.splitlines()
    return "\n".join(textwrap.fill(line, WIDTH, break_on_hyphens=False) for line in lines)


def _hidden(findings: Findings) -> list[str]:
    hiders = findings.hiders
    if not hiders and any(server.hidden for server in findings.servers):
        return [
            "With another DisconnectMiddleware outermost it works. Does the app's own leave out"
            " this request (only=), never cancel it (cancel=False), or give its cleanup no time"
            " (cleanup_timeout=)?"
        ]
    if not hiders:
        return []
    stands = f"{' or '.join(hiders)} stands outside DisconnectMiddleware"
    if any(server.hidden for server in findings.servers):
        return [
            f"{stands} and hides the disconnect from it, or fails when the app is stopped. With"
            " DisconnectMiddleware outermost it works."
        ]
    if findings.sound:
        return [f"{stands}. It does no harm here, but DisconnectMiddleware belongs outermost."]
    return []


def as_json(findings: Findings) -> str:
    """Everything, as JSON for programs."""
    return json.dumps(
        {
            "app": findings.app,
            "request": findings.request,
            "patience": findings.patience,
            "layers": [layer.name for layer in findings.target.layers],
            "guarded": findings.target.guarded,
            "hidden_by": list(findings.hiders),
            "servers": [_server(server, findings.patience) for server in findings.servers],
            "sound": findings.sound,
        },
        indent=2,
    )


def _server(server: Checked, patience: float) -> dict[str, object]:
    return {**dataclasses.asdict(server), "shortcomings": server.shortcomings(patience)}

"""What the demo shows: a line that moves while it runs, and a table at the end.

On a terminal the line is overwritten; elsewhere (a pipe, a log) there is a line each second.
"""

import sys

from .clients import SETTLE, Outcome

LABELS = (
    "",
    "requests",
    "answered",
    "abandoned by their clients",
    "seconds of work done for nobody",
    "handlers still running after the last client left *",
    "cleanup run",
)


class Progress:
    """The progress of one of the two runs."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._moving = sys.stdout.isatty()
        self._shown = 0
        self._next = 0.0

    def show(self, seconds: float, for_clients: int, for_nobody: int) -> None:
        """Show how many handlers work for a client, and how many for nobody."""
        if not self._moving:
            if seconds < self._next:
                return
            self._next += 1.0
        bar = "#" * for_clients + "x" * for_nobody
        self._write(
            f"{self._title:22} {seconds:4.1f} s  handlers: {bar:18} "
            f"{for_clients:2} for clients, {for_nobody:2} for nobody"
        )

    def done(self, seconds: float) -> None:
        """Print the last line."""
        self._write(f"{self._title:22} {seconds:4.1f} s  every handler has ended")
        if self._moving:
            print(flush=True)

    def _write(self, line: str) -> None:
        if self._moving:
            print(f"\r{line:{self._shown}}", end="", flush=True)
            self._shown = len(line)
        else:
            print(line, flush=True)


def table(without: Outcome, guarded: Outcome) -> str:
    """Both runs side by side."""
    columns = [_column("without", without), _column("with", guarded)]
    lines = [f"{label:<51}{a:>11}{b:>11}" for label, a, b in zip(LABELS, *columns, strict=True)]
    lines.insert(1, "-" * len(lines[0]))
    lines.append(f"* counted {SETTLE} seconds later")
    return "\n".join(lines)


def _column(title: str, outcome: Outcome) -> tuple[str, ...]:
    return (
        title,
        str(outcome.requests),
        str(outcome.answered),
        str(outcome.abandoned),
        f"{outcome.wasted:.1f}",
        str(outcome.still_running),
        f"{outcome.cleaned} of {outcome.started}",
    )

"""The benchmarks' pictures, drawn from the files that they have written.

    python tests/benchmarks/plots.py FOLDER

Reads ``FOLDER/NAME.json``, as each benchmark's ``--json`` has written it, and draws each into
``NAME-light.svg`` and ``NAME-dark.svg`` there; what is missing is left out.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

UNWRAPPED, OURS, IDEAL = "unwrapped", "asgi_disconnect", "ideal"
WIDTH = 8.3
"""Inches of 100 pixels: the width of a README."""


@dataclass(frozen=True)
class Theme:
    """The colours for one background."""

    name: str
    text: str
    faint: str
    ours: str
    others: tuple[str, ...]

    def colour(self, name: str, names: list[str]) -> str:
        """Ours stands out; each of the others has its own."""
        if name == OURS:
            return self.ours
        rest = [other for other in names if other != OURS]
        return self.others[rest.index(name) % len(self.others)]


THEMES = [
    Theme("light", "#1f2328", "#d8dee4", "#0b63ce", ("#8c959f", "#bc4c00", "#7d4e9e", "#1a7f37")),
    Theme("dark", "#e6edf3", "#3d444d", "#58a6ff", ("#8b949e", "#f0883e", "#bf8fe0", "#56d364")),
]


def goodput(found: Any, theme: Theme) -> Figure:
    """Useful responses per second, over time."""
    patiences = list(dict.fromkeys(line["patience"] for line in found["lines"]))
    figure, panels = pyplot.subplots(1, len(patiences), figsize=(WIDTH, 3.2), sharey=True)
    labels = {
        UNWRAPPED: "without",
        OURS: "with asgi_disconnect",
        IDEAL: "ideal cancellation (simulated)",
        "deadline=10": "with deadline=10",
        "and it looks": "and a handler that looks at remaining()",
    }
    names = list(labels)
    for panel, patience in zip(panels, patiences, strict=True):
        for line in found["lines"]:
            if line["patience"] != patience:
                continue
            smooth = _means_of(line["by_second"], 5)
            ideal = line["name"] == IDEAL
            panel.plot(
                [second + 0.5 for second in range(len(smooth))],
                smooth,
                color=theme.colour(line["name"], names),
                linestyle=(0, (2, 2)) if ideal else "-",
                linewidth=1.6 if ideal else 2.4,
                zorder=3 if ideal else 2,
                label=labels[line["name"]],
            )
        panel.set_title("the patient " + patience.replace(", ", ",\n"), fontsize=9.5)
        panel.set_xlabel("seconds under twice the load", fontsize=9.5)
        panel.set_ylim(0, 22)
        panel.set_xlim(0, found["seconds"])
        panel.yaxis.grid(True)
    panels[0].set_ylabel("useful responses per second")
    _legend_above(figure, panels[-1])  # which has them all
    return figure


def _means_of(counts: list[int], width: int) -> list[float]:
    """Each with its neighbours."""
    half = width // 2
    found = []
    for number in range(len(counts)):
        near = counts[max(0, number - half) : number + half + 1]
        found.append(sum(near) / len(near))
    return found


def overhead(found: Any, theme: Theme) -> Figure:
    """Added microseconds per request, in process."""
    cases = [case for case in found["cases"] if case["handler"] == "suspends once"]
    names = [line["name"] for line in cases[0]["contenders"] if not line["name"].startswith("bare")]
    figure, panels = pyplot.subplots(1, len(cases), figsize=(WIDTH, 2.6), sharey=True, sharex=True)
    for panel, case in zip(_listed(panels), cases, strict=True):
        values = {line["name"]: line["median"] for line in case["contenders"]}
        _bars(panel, {name: values[name] for name in names}, theme, "{:.1f}")
        panel.set_title(f"{case['loop']}")
        panel.set_xlabel("CPU µs added to each request")
    return figure


def served(found: Any, theme: Theme) -> Figure:
    """Requests per second, as a share of the unwrapped."""
    cases = [
        case
        for case in found["cases"]
        if case["connections"] == 32 and case["method"] == "GET" and case["server"] == "uvicorn"
    ]
    names = [OURS]
    for case in cases:
        for line in case["contenders"]:
            if line["name"] not in (*names, UNWRAPPED):
                names.append(line["name"])
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(WIDTH, 0.5 * len(cases) + 1.6), sharey=True
    )
    markers = dict(zip(names, "oDs^v", strict=False))
    for number, case in enumerate(cases):
        for line in case["contenders"]:
            if line["name"] == UNWRAPPED:
                continue
            style = {
                "color": theme.colour(line["name"], names),
                "marker": markers[line["name"]],
                "markersize": 8 if line["name"] == OURS else 6,
                "linestyle": "none",
                "label": line["name"] if number == 0 else None,
                "zorder": 3 if line["name"] == OURS else 2,
            }
            left.plot(line["share"], number, **style)
            right.plot(line["added_cpu_us"], number, **{**style, "label": None})
    left.set_yticks(range(len(cases)), [case["app"] for case in cases])
    left.invert_yaxis()
    left.set_xlim(0, 1.08)
    left.axvline(1, color=theme.text, linewidth=0.8)
    left.set_xlabel("requests per second ÷ unwrapped")
    right.set_xlim(left=0)
    right.set_xlabel("CPU µs added to each request")
    for panel in (left, right):
        panel.yaxis.grid(True)
    _legend_above(figure, left)
    return figure


def watched(found: Any, theme: Theme) -> Figure:
    """Memory for each request in flight, and time until all are stopped."""
    lines = [line for line in found["places"]["behind uvicorn"] if line["name"] != UNWRAPPED]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(WIDTH, 2.3), sharey=True)
    _bars(left, {line["name"]: line["added_bytes"] / 1000 for line in lines}, theme, "{:.1f}")
    left.set_xlabel("KB added for each request in flight")
    _bars(right, {line["name"]: line["seconds"] for line in lines}, theme, "{:.2f}")
    right.set_xlabel(f"seconds until all {found['requests']:,} are stopped".replace(",", " "))
    return figure


def latency(found: Any, theme: Theme) -> Figure:
    """From the client's close to the handler's end."""
    servers = list(found["servers"])
    figure, panels = pyplot.subplots(1, len(servers), figsize=(WIDTH, 2.6), sharey=True)
    for panel, server in zip(_listed(panels), servers, strict=True):
        lines = [line for line in found["servers"][server] if line["kind"] == "watched"]
        names = [line["name"] for line in lines]
        for number, line in enumerate(lines):
            colour = theme.colour(line["name"], names)
            total = line["total_ms"]
            panel.plot([total["p50"], total["p99"]], [number] * 2, color=colour, linewidth=3)
            panel.plot(total["p50"], number, "o", color=colour, markersize=7)
            panel.plot(total["p99"], number, "|", color=colour, markersize=12, markeredgewidth=2.5)
        panel.set_yticks(range(len(names)), names)
        panel.set_title(server)
        panel.set_xlim(left=0)
        panel.margins(y=0.2)
        panel.set_xlabel("ms from the client's close: half, and 99 of 100")
    _listed(panels)[0].invert_yaxis()
    return figure


def growth(found: Any, theme: Theme) -> Figure:
    """What is added, over what there is more and more of."""
    figure, panels = pyplot.subplots(1, len(found["cases"]), figsize=(WIDTH, 2.5))
    for panel, case in zip(panels, found["cases"], strict=True):
        sizes = list(case["added"])
        minima = [case["added"][size]["minimum"] for size in sizes]
        bare = [case["added"][size]["bare"] for size in sizes]
        panel.plot(range(len(sizes)), bare, "o-", color=theme.others[0], markersize=4, label="bare")
        panel.plot(range(len(sizes)), minima, "o-", color=theme.ours, linewidth=2, label="added")
        panel.set_xticks(range(len(sizes)), [_short(size) for size in sizes])
        panel.set_ylim(0, 1.15 * max(minima + bare))
        panel.set_title(f"µs per {case['unit']}", fontsize=9)
        panel.set_xlabel(case["name"], fontsize=9)
    _legend_above(figure, panels[0])
    return figure


def queue(found: Any, theme: Theme) -> Figure:
    """What is begun of those who left while they waited in line, and who waits for it."""
    endpoints = list(dict.fromkeys(line["endpoint"] for line in found["lines"]))
    labels = {UNWRAPPED: "without", OURS: "with asgi_disconnect"}
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(WIDTH, 2.6), sharey=True)
    for panel, value, form in (
        (left, "median_begun", "{:.0f}"),
        (right, "median_patient_seconds", "{:.1f}"),
    ):
        for place, (name, label) in enumerate(labels.items()):
            values = [line[value] for line in found["lines"] if line["name"] == name]
            rows = [number + 0.38 * (place - 0.5) for number in range(len(endpoints))]
            colour = theme.colour(name, list(labels))
            bars = panel.barh(rows, values, color=colour, height=0.34, label=label)
            panel.bar_label(bars, [form.format(value) for value in values], padding=4)
        panel.set_yticks(range(len(endpoints)), [one.replace(", ", ",\n") for one in endpoints])
        panel.margins(x=0.12)
        panel.tick_params(axis="y", length=0)
    left.invert_yaxis()
    left.set_xlabel(f"begun, of {found['leaving']} whose clients had left")
    right.set_xlabel("seconds that the next client waits")
    _legend_above(figure, left)
    return figure


def _short(size: str) -> str:
    return f"{size[:-3]}k" if size.endswith("000") else size


def _bars(panel: Axes, values: dict[str, float], theme: Theme, form: str) -> None:
    names = list(values)
    colours = [theme.ours if name == OURS else theme.others[0] for name in names]
    bars = panel.barh(range(len(names)), list(values.values()), color=colours, height=0.62)
    panel.bar_label(bars, [form.format(value) for value in values.values()], padding=4)
    panel.set_yticks(range(len(names)), names)
    if not panel.yaxis_inverted():
        panel.invert_yaxis()
    panel.margins(x=0.16)
    panel.tick_params(axis="y", length=0)


def _listed(panels: Any) -> list[Axes]:
    return list(panels) if hasattr(panels, "__len__") else [panels]


def _legend_above(figure: Figure, panel: Axes) -> None:
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(
        *(handles, labels),
        loc="outside upper center",
        ncols=len(labels) if len(labels) < 5 else 3,
        frameon=False,
        fontsize=9.5,
    )


PLOTS: dict[str, Callable[[Any, Theme], Figure]] = {
    plot.__name__: plot for plot in (goodput, queue, overhead, served, watched, latency, growth)
}


def style(theme: Theme) -> dict[str, Any]:
    return {
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.text,
        "axes.labelsize": 10,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": theme.text,
        "axes.titlesize": 10.5,
        "figure.constrained_layout.use": True,
        "figure.constrained_layout.w_pad": 0.1,
        "font.size": 10,
        "grid.color": theme.faint,
        "savefig.transparent": True,
        "svg.hashsalt": "benchmarks",  # so that the same figures give the same file
        "text.color": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
    }


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    folder = Path(sys.argv[1])
    for name, plot in PLOTS.items():
        source = folder / f"{name}.json"
        if not source.exists():
            print(f"{source} is missing")
            continue
        found = json.loads(source.read_text("utf-8"))
        for theme in THEMES:
            with mpl.rc_context(style(theme)):
                figure = plot(found, theme)
                file = folder / f"{name}-{theme.name}.svg"
                figure.savefig(file, metadata={"Date": None})
                pyplot.close(figure)
                print(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

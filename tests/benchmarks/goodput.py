"""Useful responses per second under more load than there is capacity: what the middleware is for.

    python tests/benchmarks/goodput.py [--quick] [--check] [--json FILE]

A handler holds one of 20 permits for a second, so that 20 requests a second are what can be done.
30 clients a second come at random moments, whatever becomes of those before them; half of them
leave after 100 to 300 ms, and half of those try again at once: 37 requests a second, of which 15
can be useful.  A response is useful if its client is still there to read it.

It is measured behind uvicorn, unwrapped and with ours, with the same clients at the same moments;
and simulated for ideal cancellation, which is immediate and free.  Once with the others waiting for
as long as it takes, and once with them giving up after ten seconds, as a proxy or a time limit
does: the queue is longer than that soon, and then all that the unwrapped application does is done
for nobody.

A third time they give up after ten seconds, but all who leave go silently: the connection stays
open, and nobody reads from it.  No server can see that, so there is a deadline of ten seconds as
well.  In a queue that is first come, first served, a deadline by itself only has each request begin
too late to be done in time; what helps is a handler that looks at `remaining()` before it begins.
At best it does for the patient their share of all that is asked for.

`--check` ends with status 1 if ours has less than 0.95 of the ideal where the server can see who
leaves, or the handler that looks less than 0.9 of what is simulated for it.
"""

import argparse
import asyncio
import contextlib
import json
import math
import time
from dataclasses import dataclass
from typing import Any

from crowd import allow_files
from machine import environment
from overload import PERMITS, WORK, Request, requests, simulate
from serving import UVICORN, RunningServer, running

CLIENTS_PER_SECOND = 30
DEADLINE = 10.0
GOAL = 0.95
GOAL_LOOKING = 0.9
SILENT = "give up after 10 s, and all go silently"
PATIENCES = {"wait for as long as it takes": math.inf, "give up after 10 s": 10.0, SILENT: 10.0}
UNWRAPPED, OURS, IDEAL = "unwrapped", "asgi_disconnect", "ideal"
WITH_DEADLINE, LOOKING = "deadline=10", "and it looks"
TARGETS = {UNWRAPPED: "goodput_apps:unwrapped", OURS: "goodput_apps:ours"}
SILENT_TARGETS = {
    **TARGETS,
    WITH_DEADLINE: "goodput_apps:with_deadline",
    LOOKING: "goodput_apps:looking",
}


@dataclass(frozen=True)
class Outcome:
    """When the useful responses of one run were complete, in seconds after its start."""

    useful: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        return sum(moment <= self.seconds for moment in self.useful) / self.seconds

    def second_half(self) -> float:
        half = self.seconds / 2
        return sum(half < moment <= self.seconds for moment in self.useful) / half

    def by_second(self) -> list[int]:
        """How many in each second."""
        counts = [0] * math.ceil(self.seconds)
        for moment in self.useful:
            if moment < len(counts):
                counts[int(moment)] += 1
        return counts


class Clients:
    """Those of one server."""

    def __init__(self, port: int, *, silent: bool) -> None:
        self._port = port
        self._silent = silent
        # What is not kept is closed.
        self._gone: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: Request, start: float, end: float) -> float | None:
        """One request; returns when its response was complete, or None if it was of no use."""
        await asyncio.sleep(start + request.made - time.monotonic())
        with contextlib.suppress(TimeoutError):
            patience = start + min(request.left, end) - time.monotonic()
            if await asyncio.wait_for(self._is_answered(), patience):
                return time.monotonic() - start
        return None

    async def _is_answered(self) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"GET /work HTTP/1.1\r\nHost: benchmark\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
        except asyncio.CancelledError:
            if self._silent:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                self._gone.append((reader, writer))
            else:
                writer.transport.abort()
            raise
        writer.transport.abort()
        status = answer[9:12]
        if status not in (b"200", b"503", b"504"):
            raise RuntimeError(f"answered {answer[:80]!r}")
        return status == b"200"

    def end(self) -> None:
        """Close what the silent ones have left open."""
        for _, writer in self._gone:
            writer.transport.abort()


async def run(server: RunningServer, load: list[Request], seconds: float, silent: bool) -> Outcome:
    """All the clients of one load."""
    start = time.monotonic() + 0.1
    clients = Clients(server.port, silent=silent)
    done = await asyncio.gather(*(clients.ask(one, start, seconds) for one in load))
    clients.end()
    return Outcome([moment for moment in done if moment is not None], seconds)


async def run_all(
    servers: dict[tuple[str, str], RunningServer],
    loads: dict[str, list[Request]],
    seconds: float,
) -> dict[tuple[str, str], Outcome]:
    """Each server with its load, all at the same time: they are idle mostly."""
    outcomes = await asyncio.gather(
        *(
            run(server, loads[patience], seconds, patience == SILENT)
            for (patience, _), server in servers.items()
        )
    )
    return dict(zip(servers, outcomes, strict=True))


def measure(loads: dict[str, list[Request]], seconds: float) -> dict[tuple[str, str], Outcome]:
    # Whoever goes silently keeps a connection, here and at the server.
    allow_files(len(SILENT_TARGETS) * sum(map(len, loads.values())))
    with contextlib.ExitStack() as stack:
        servers = {
            (patience, name): stack.enter_context(running(UVICORN, target))
            for patience in loads
            for name, target in (SILENT_TARGETS if patience == SILENT else TARGETS).items()
        }
        found = asyncio.run(run_all(servers, loads, seconds))
    for patience, load in loads.items():
        found[patience, IDEAL] = Outcome(simulate(load, cancel=True), seconds)
    return found


def table(
    outcomes: dict[tuple[str, str], Outcome], loads: dict[str, list[Request]]
) -> list[dict[str, Any]]:
    """A line for each patience and each way."""
    lines: list[dict[str, Any]] = []
    for (patience, name), outcome in outcomes.items():
        simulated = simulate(
            loads[patience],
            cancel=name == IDEAL or (name == OURS and patience != SILENT),
            deadline=DEADLINE if name in (WITH_DEADLINE, LOOKING) else None,
            looks=name == LOOKING,
        )
        lines.append(
            {
                "patience": patience,
                "name": name,
                "per_second": outcome.per_second,
                "second_half": outcome.second_half(),
                "simulated": Outcome(simulated, outcome.seconds).per_second,
                "of_ideal": outcome.per_second / outcomes[patience, IDEAL].per_second,
                "factor": outcome.per_second / outcomes[patience, UNWRAPPED].per_second,
                "by_second": outcome.by_second(),
            }
        )
    return lines


def computed(load: list[Request], seconds: float) -> dict[str, float]:
    """What can be had at best, and what is without cancellation, by reckoning.

    At best: all who wait, or as many as there are permits.  Without, the permits are shared out in
    the order of asking, so that the useful part of what is done is that of what is asked for.
    """
    patient = sum(request.left - request.made > WORK for request in load)
    capacity = PERMITS / WORK
    return {
        "ideal": min(patient / seconds, capacity),
        "unwrapped": min(capacity, len(load) / seconds) * patient / len(load),
    }


def show(lines: list[dict[str, Any]], reckoned: dict[str, float]) -> None:
    for patience in PATIENCES:
        print(f"\nuseful responses per second, where the clients that do not leave {patience}")
        print(
            f"{'':20}{'measured':>10}{'simulated':>11}{'second half':>13}{'÷ ideal':>9}"
            f"{'÷ unwrapped':>13}"
        )
        for line in lines:
            if line["patience"] == patience:
                measured = "" if line["name"] == IDEAL else f"{line['per_second']:.2f}"
                print(
                    f"{line['name']:20}{measured:>10}{line['simulated']:>11.2f}"
                    f"{line['second_half']:>13.2f}{line['of_ideal']:>9.2f}{line['factor']:>13.2f}"
                )
    print(
        f"\nreckoned: at best {reckoned['ideal']:.2f}, and {reckoned['unwrapped']:.2f} where"
        " nothing is cancelled and nobody gives up"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="ten seconds")
    parser.add_argument("--seconds", type=float, help="(default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the clients (default 1)")
    parser.add_argument("--check", action="store_true", help="status 1 if below the goal")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    options = parser.parse_args()
    seconds = options.seconds or (10 if options.quick else 60)
    made_on = environment()
    print(", ".join(f"{name} {value}" for name, value in made_on.items()))
    loads = {
        patience: requests(seconds, CLIENTS_PER_SECOND, limit, options.seed)
        for patience, limit in PATIENCES.items()
    }
    first = next(iter(loads.values()))
    print(f"{seconds:.0f} s, {len(first)} requests, {len(first) / seconds:.1f} per second")
    lines = table(measure(loads, seconds), loads)
    reckoned = computed(first, seconds)
    show(lines, reckoned)
    missed = [
        f"{line['of_ideal']:.3f} of the ideal where clients {line['patience']}, less than {GOAL}"
        for line in lines
        if line["name"] == OURS and line["patience"] != SILENT and line["of_ideal"] < GOAL
    ]
    missed += [
        f"{line['per_second']:.2f} by a handler that looks, less than {GOAL_LOOKING} of the"
        f" {line['simulated']:.2f} that are simulated"
        for line in lines
        if line["name"] == LOOKING and line["per_second"] < GOAL_LOOKING * line["simulated"]
    ]
    print()
    for sentence in missed:
        print(f"missed: {sentence}")
    if not missed:
        print(f"the goals are reached: {GOAL} of the ideal, and {GOAL_LOOKING} for one that looks")
    if options.json:
        figures = {
            "environment": made_on,
            "seconds": seconds,
            "requests": len(first),
            "lines": lines,
            "computed": reckoned,
            "missed": missed,
        }
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    raise SystemExit(main())

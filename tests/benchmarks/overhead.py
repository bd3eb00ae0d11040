"""What the middleware adds to a request, beside other ways to notice a disconnect.

    python tests/benchmarks/overhead.py [--quick] [--rounds N] [--check] [--json FILE]
                                         [--before CHECKOUT]

In process, without a socket: see `scripted`; on asyncio and, if it is there, uvloop.  How the
figures come about stands in `rounds`, who takes part in `contenders`; and ours takes part a second
time, with a deadline.  `--check` ends with status 1 if ours costs more than the share of the
others' that `LIMITS` allows, or with a deadline more than `MOST_FOR_DEADLINE` more.  `--before`
compares it with itself as well, as it is in another checkout (`git worktree add` makes one of an
older commit).
"""

import argparse
import asyncio
import functools
import gc
import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from contenders import BEFORE, FASTAPI_DISCONNECT, OURS, TASK_GROUP, contenders, ours_before
from rounds import Interleaved, Timings, ratio, ratio_of_minima
from scripted import all_at_once, never_suspends, one_by_one, reads, suspends_once, takes_20_ms

from asgi_disconnect import DisconnectMiddleware

BARE = "bare app"
LIMITS = {FASTAPI_DISCONNECT: 0.45, TASK_GROUP: 0.25}
"""The most that ours may add, as a share of what the other adds, where a handler is quick."""

WITH_DEADLINE = f"{OURS}, deadline=30"
MOST_FOR_DEADLINE = 0.5
"""Microseconds."""

HANDLERS: dict[str, tuple[Any, Any, int]] = {
    "never suspends": (never_suspends, one_by_one, 200),
    "reads its request": (reads, one_by_one, 200),
    "suspends once": (suspends_once, one_by_one, 200),
    "takes 20 ms, 200 in flight": (takes_20_ms, all_at_once, 200),
}
"""A handler, how its requests come, and how many of them are a batch."""

QUICK = ("never suspends", "reads its request", "suspends once")
"""Those to which the limits apply."""


def loops() -> dict[str, asyncio.AbstractEventLoop]:
    found = {"asyncio": asyncio.new_event_loop()}
    try:
        import uvloop
    except ImportError:
        print("uvloop is not installed: asyncio alone")
    else:
        found["uvloop"] = uvloop.new_event_loop()
    return found


def batch(loop: asyncio.AbstractEventLoop, serve: Any, app: Any, requests: int) -> None:
    loop.run_until_complete(serve(app, requests))


def measure(
    rounds: int, wraps: dict[str, Callable[[Any], Any]]
) -> dict[tuple[str, str], dict[str, Timings]]:
    """The timings of every contender, for each loop and handler."""
    running = loops()
    cases = {
        (loop_name, handler_name): Interleaved(
            {
                name: functools.partial(batch, loop, serve, wrap(handler), requests)
                for name, wrap in wraps.items()
            },
            requests,
        )
        for handler_name, (handler, serve, requests) in HANDLERS.items()
        for loop_name, loop in running.items()
    }
    gc.collect()
    gc.freeze()  # what was imported is not to be gone through before every batch
    for number in range(-2, rounds):
        for case in cases.values():
            case.round(counted=number >= 0)
    for loop in running.values():
        loop.close()
    return {key: case.timings() for key, case in cases.items()}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("anyio", "uvloop", "starlette", FASTAPI_DISCONNECT):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def table(timings: dict[str, Timings]) -> list[dict[str, Any]]:
    """The lines of one case's table, the cheapest first."""
    bare = timings[BARE]
    lines: list[dict[str, Any]] = []
    for name, mine in timings.items():
        line: dict[str, Any] = {"name": name, "median": mine.added_median(bare)}
        line["minimum"] = mine.added_minimum(bare)
        if name in LIMITS or name == BEFORE:
            line["ratio"] = ratio(timings[OURS], mine, bare)
            line["ratio_of_minima"] = ratio_of_minima(timings[OURS], mine, bare)
        if name == WITH_DEADLINE:
            line["more_than_ours"] = mine.added_median(timings[OURS])
        if name == BARE:
            line["median"] = line["minimum"] = min(bare.rounds)
        lines.append(line)
    return sorted(lines, key=lambda line: (line["name"] != BARE, line["median"]))


def show(case: tuple[str, str], lines: list[dict[str, Any]]) -> None:
    print(f"\n{case[0]}, handler {case[1]}")
    print(f"{'CPU µs per request':28}{'median':>9}{'minimum':>9}{'ours ÷ it':>12}{'of minima':>11}")
    for line in lines:
        sign = "" if line["name"] == BARE else "+"
        name = f"{line['name']} {'' if sign else '(itself)'}"
        text = f"{name:28}{line['median']:>{sign}9.1f}{line['minimum']:>{sign}9.1f}"
        if "ratio" in line:
            text += f"{line['ratio']:>12.2f}{line['ratio_of_minima']:>11.2f}"
        if "more_than_ours" in line:
            text += f"   {line['more_than_ours']:+.2f} to ours"
        print(text)


def excesses(tables: dict[tuple[str, str], list[dict[str, Any]]]) -> list[str]:
    """What is over the limits, as sentences."""
    found = []
    for (loop, handler), lines in tables.items():
        for line in lines if handler in QUICK else ():
            limit = LIMITS.get(line["name"])
            if limit is not None and line["ratio"] > limit:
                found.append(
                    f"{loop}, handler {handler}: {line['ratio']:.3f} of what {line['name']} adds,"
                    f" more than {limit}"
                )
            if line["name"] == WITH_DEADLINE and line["more_than_ours"] > MOST_FOR_DEADLINE:
                found.append(
                    f"{loop}, handler {handler}: {line['more_than_ours']:.2f} µs more with a"
                    f" deadline, more than {MOST_FOR_DEADLINE}"
                )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--rounds", type=int, help="(default 40)")
    parser.add_argument("--check", action="store_true", help="status 1 if over the limits")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument("--before", metavar="CHECKOUT", type=Path, help="compare with it as well")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 40)
    wraps: dict[str, Callable[[Any], Any]] = {BARE: lambda app: app, **contenders()}
    wraps[WITH_DEADLINE] = functools.partial(DisconnectMiddleware, deadline=30.0)
    if options.before:
        wraps[BEFORE] = ours_before(options.before)
    environment = versions()
    print(", ".join(f"{name} {value}" for name, value in environment.items()))
    print(f"{rounds} rounds; added to the bare app, best of many and typical")
    tables = {case: table(timings) for case, timings in measure(rounds, wraps).items()}
    for case, lines in tables.items():
        show(case, lines)
    over = excesses(tables)
    print()
    for sentence in over:
        print(f"over the limit: {sentence}")
    if not over:
        limits = " and ".join(f"{limit} of what {name} adds" for name, limit in LIMITS.items())
        print(
            f"within the limits of the quick handlers, {limits}, and {MOST_FOR_DEADLINE} µs more"
            " with a deadline"
        )
    if sys.version_info < (3, 12):
        print(f"{FASTAPI_DISCONNECT} needs Python 3.12 and was not compared")
    if options.json:
        cases = [
            {"loop": loop, "handler": handler, "contenders": lines}
            for (loop, handler), lines in tables.items()
        ]
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"environment": environment, "cases": cases, "over": over}, file, indent=1)
    return 1 if options.check and over else 0


if __name__ == "__main__":
    raise SystemExit(main())

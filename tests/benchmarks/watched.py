"""Ten thousand requests in flight: what each takes in memory, and how soon all of them are stopped.

    python tests/benchmarks/watched.py [--quick] [--check] [--json FILE]

First in process, without a socket: the memory of a fresh process before, and with all of them in
flight and watched; then all the clients leave at once.  Then behind uvicorn (uvloop): the clients
are another process, and leave when that ends.  The memory that a way adds is what it takes beyond
the unwrapped application; the time is until the last handler has ended, and what the server alone
takes is seen where an unwrapped application listens by itself.

`--check` ends with status 1 if ours misses its goals: at most 4 KB for each request, and all
stopped within two seconds.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contenders import OURS
from crowd import allow_files
from machine import environment
from scripted import SCOPE, Message
from serving import HERE, PATIENCE, UVICORN, RunningServer, running
from waiting_apps import LISTENS, UNWATCHED, application, target, ways

MEMORY_GOAL = 4096
"""Bytes added for each request in flight."""
TIME_GOAL = 2.0
"""Seconds until all are stopped."""
IN_PROCESS, BEHIND_UVICORN = "in process", "behind uvicorn"
SETTLED = 0.5
"""Seconds in which what is in flight comes to rest."""

Figures = dict[str, float]


class Crowd:
    """The clients of all the scripted requests, who leave together."""

    def __init__(self, count: int) -> None:
        self.leaving = asyncio.Event()
        self.watched: int = 0
        """Requests for which somebody waits to hear that the client has left."""
        self.all_watched = asyncio.Event()
        self._count = count

    def receiver(self) -> Callable[[], Any]:
        """One request's `receive`."""
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                self.watched += 1
                if self.watched == self._count:
                    self.all_watched.set()
                await self.leaving.wait()
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": b"", "more_body": False}

        return receive

    async def send(self, message: Message) -> None:
        pass


async def in_process(way: str, count: int) -> Figures:
    """One way, in this process, which has done nothing before."""
    await fly(way, 20)  # what is imported and kept for all requests is not any one's
    return await fly(way, count)


async def fly(way: str, count: int) -> Figures:
    app, crowd = application(way), Crowd(count)
    scopes = [{**SCOPE, "path": f"/wait/{number}"} for number in range(count)]
    receivers = [crowd.receiver() for _ in scopes]
    gc.collect()
    before = resident()
    tasks = [
        asyncio.ensure_future(app(scope, receive, crowd.send))
        for scope, receive in zip(scopes, receivers, strict=True)
    ]
    if way != UNWATCHED:
        await crowd.all_watched.wait()
    await asyncio.sleep(SETTLED)
    gc.collect()
    memory = (resident() - before) / count
    start = time.monotonic()
    crowd.leaving.set()
    if way == UNWATCHED:
        for task in tasks:
            task.cancel()
    await asyncio.wait(tasks)
    return {"memory": memory, "seconds": time.monotonic() - start}


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def in_a_process(way: str, count: int) -> Figures:
    """The same in a process of its own."""
    finished = subprocess.run(
        [sys.executable, __file__, "--one", way, "--requests", str(count)],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: Figures = json.loads(finished.stdout)
    return figures


def behind_uvicorn(way: str, count: int) -> Figures:
    """One way, in a server that has done nothing before but a few requests."""
    with running(UVICORN, target(way)) as server:
        before = server.resident_bytes()
        with subprocess.Popen(
            [sys.executable, str(HERE / "crowd.py"), str(server.port), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as crowd:
            try:
                _until(server, lambda state: state["in_flight"] == count)
                time.sleep(2 * SETTLED)
                _until(server, lambda state: state["in_flight"] == count)
                memory = (server.resident_bytes() - before) / count
                left = time.monotonic()
            finally:
                crowd.kill()  # which closes all at once
        if way == UNWATCHED:
            return {"memory": memory, "seconds": 0.0}
        state = _until(server, lambda state: state["stopped"] == count)
        return {"memory": memory, "seconds": state["last"] - left}


def _until(server: RunningServer, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while True:
        state: dict[str, Any] = server.get_json("/count")
        if condition(state):
            return state
        if time.monotonic() > deadline:
            raise RuntimeError(f"it does not come about: {state}")
        time.sleep(0.02)


def measure(count: int, rounds: int) -> dict[str, dict[str, list[Figures]]]:
    """The figures of each way, in each place."""
    found: dict[str, dict[str, list[Figures]]] = {}
    for place, figures_of in ((IN_PROCESS, in_a_process), (BEHIND_UVICORN, behind_uvicorn)):
        names = [UNWATCHED, *ways()]
        found[place] = {name: [] for name in names}
        for _ in range(rounds):
            for name in random.sample(names, len(names)):
                found[place][name].append(figures_of(name, count))
    return found


def lines(ways_here: dict[str, list[Figures]]) -> list[dict[str, Any]]:
    """One place's table: medians over the rounds."""
    memory = {
        name: statistics.median(figures["memory"] for figures in rounds)
        for name, rounds in ways_here.items()
    }
    return [
        {
            "name": name,
            "bytes": memory[name],
            "added_bytes": memory[name] - memory[UNWATCHED],
            "seconds": statistics.median(figures["seconds"] for figures in rounds),
            "rounds": rounds,
        }
        for name, rounds in ways_here.items()
    ]


def show(place: str, table: list[dict[str, Any]], count: int) -> None:
    print(f"\n{place}, {count} in flight")
    print(f"{'':28}{'bytes each':>12}{'added':>9}{'seconds until all are stopped':>32}")
    for line in table:
        seconds = f"{line['seconds']:.2f}" if line["name"] != UNWATCHED else "never"
        print(f"{line['name']:28}{line['bytes']:>12.0f}{line['added_bytes']:>+9.0f}{seconds:>32}")


def misses(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    found = []
    for place, table in tables.items():
        ours = next(line for line in table if line["name"] == OURS)
        if ours["added_bytes"] > MEMORY_GOAL:
            found.append(f"{place}: {ours['added_bytes']:.0f} bytes added, more than {MEMORY_GOAL}")
        if ours["seconds"] > TIME_GOAL:
            found.append(f"{place}: stopped after {ours['seconds']:.2f} s, more than {TIME_GOAL}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round of 1000 requests")
    parser.add_argument("--requests", type=int, help="in flight at once (default 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="(default 3)")
    parser.add_argument("--check", action="store_true", help="status 1 if a goal is missed")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument("--one", metavar="WAY", help=argparse.SUPPRESS)
    options = parser.parse_args()
    count = options.requests or (1000 if options.quick else 10_000)
    if options.one:
        print(json.dumps(asyncio.run(in_process(options.one, count))))
        return 0
    allowed = allow_files(count)
    if allowed < count:
        print(f"this system allows no more than {allowed} connections at once (ulimit -n)")
        count = allowed
    made_on = environment()
    print(", ".join(f"{name} {value}" for name, value in made_on.items()))
    found = measure(count, 1 if options.quick else options.rounds)
    tables = {place: lines(ways_here) for place, ways_here in found.items()}
    for place, table in tables.items():
        show(place, table, count)
    missed = misses(tables)
    print(f"\n{LISTENS}: what the server alone takes, without a middleware")
    for sentence in missed:
        print(f"missed: {sentence}")
    if not missed:
        print("the goals are reached")
    if options.json:
        figures = {"environment": made_on, "requests": count, "places": tables, "missed": missed}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    return 1 if options.check and missed and not options.quick else 0


if __name__ == "__main__":
    raise SystemExit(main())

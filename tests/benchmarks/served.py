"""What the middleware costs behind a real server: requests per second, and its CPU per request.

    python tests/benchmarks/served.py [--quick | --full] [--rounds N] [--check] [--json FILE]

wrk asks, uvicorn (uvloop, httptools) or granian serves, each on a core of its own.  In every round
each contender is started anew, in an order drawn anew, and has its burst of each load; they are
compared within a round, and the median over the rounds is what is told.  Beside the requests per
second stands the CPU time that the server used for each: it depends less on what else the machine
does.

The default takes some ten minutes, `--full` (each application under each load on both servers) two
hours, and `--quick` shows in a minute that all of it runs.  `--check` ends with status 1 if ours
misses one of its goals (`GOALS`).
"""

import argparse
import json
import os
import random
import statistics
import subprocess
from dataclasses import asdict, dataclass, field
from typing import Any

from contenders import (
    AIOFENCE,
    BEFORE,
    CHECKOUT_BEFORE,
    FASTAPI_DISCONNECT,
    OURS,
    TASK_GROUP,
    contenders,
)
from machine import environment
from served_apps import APPS, UNWRAPPED, target
from serving import GRANIAN, HERE, UVICORN, program, running, two_cores

PASS_THROUGH = "pass-through"
WARM_UP = 1
"""Seconds of load before any is counted."""
BURST = 1
LONG_BURST = 4
"""Seconds of load that are counted, for an application that answers a tenth of the requests."""

GOALS = {
    "starlette": 0.72,
    "fastapi": 0.85,
    "fastapi, sync": 0.85,
    "django": 0.85,
    "starlette, works 1 ms": 0.97,
}
"""Requests per second with ours, as a share of those without: at least."""
SHARE_OF_FASTAPI_DISCONNECT = 0.35
"""The CPU time that ours adds for the Starlette endpoint, as a share of what it adds: at most."""


@dataclass(frozen=True)
class Load:
    """What is asked, and by how many connections at once."""

    method: str
    connections: int

    def __str__(self) -> str:
        return f"{self.method}, {self.connections} connections"


USUAL = Load("GET", 32)
LOADS = [USUAL, Load("POST", 32), Load("GET", 512), Load("POST", 512)]
CASES: dict[tuple[str, str], list[Load]] = {
    (UVICORN, "bare"): [USUAL],
    (UVICORN, "starlette"): LOADS[:3],
    (UVICORN, "starlette, works 1 ms"): [USUAL],
    (UVICORN, "starlette, waits 20 ms"): [LOADS[2]],
    (UVICORN, "fastapi"): LOADS[:2],
    (UVICORN, "fastapi, sync"): [USUAL],
    (UVICORN, "django"): LOADS[:2],
    (GRANIAN, "starlette"): [USUAL],
    (GRANIAN, "fastapi"): [USUAL],
}
"""Which application is served by what, under which loads, unless all are."""


@dataclass(frozen=True)
class Burst:
    """One contender's share of one round."""

    per_second: float
    p99_ms: float
    cpu_us: float
    """Microseconds of the server's CPU for each request."""


@dataclass
class Case:
    """One application on one server under one load: the rounds of each contender."""

    server: str
    app: str
    load: Load
    bursts: dict[str, list[Burst]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.server}, {self.app}: {self.load}"

    def median(self, contender: str, name: str) -> float:
        return statistics.median(getattr(burst, name) for burst in self.bursts[contender])

    def smallest_cpu(self, contender: str) -> float:
        return min(burst.cpu_us for burst in self.bursts[contender])

    def added(self, contender: str) -> list[float]:
        """CPU microseconds per request that it adds, round by round."""
        pairs = zip(self.bursts[contender], self.bursts[UNWRAPPED], strict=True)
        return [mine.cpu_us - bare.cpu_us for mine, bare in pairs]

    def share_of_requests(self, contender: str) -> float:
        """Its requests per second, divided by those of the app unwrapped."""
        pairs = zip(self.bursts[contender], self.bursts[UNWRAPPED], strict=True)
        return statistics.median(mine.per_second / bare.per_second for mine, bare in pairs)

    def share_of_added(self, contender: str) -> float:
        """What ours adds, divided by what it adds: the ratio of the medians."""
        return statistics.median(self.added(OURS)) / statistics.median(self.added(contender))

    def lines(self) -> list[dict[str, Any]]:
        """The table, the cheapest first."""
        found = [
            {
                "name": name,
                "per_second": self.median(name, "per_second"),
                "share": self.share_of_requests(name),
                "p99_ms": self.median(name, "p99_ms"),
                "cpu_us": self.median(name, "cpu_us"),
                "cpu_us_minimum": self.smallest_cpu(name),
                "added_cpu_us": statistics.median(self.added(name)),
                "added_cpu_us_of_minima": self.smallest_cpu(name) - self.smallest_cpu(UNWRAPPED),
                "rounds": [asdict(burst) for burst in self.bursts[name]],
            }
            for name in self.bursts
        ]
        return sorted(found, key=lambda line: line["cpu_us"])


def burst(wrk: str, port: int, load: Load, seconds: int) -> dict[str, float]:
    """What wrk reports; an error if a request failed."""
    core = two_cores()[1]
    finished = subprocess.run(
        [
            *(wrk, "--threads", "1", "--connections", str(load.connections)),
            *("--duration", f"{seconds}s", "--timeout", "10s"),
            *("--script", str(HERE / "load.lua"), f"http://127.0.0.1:{port}/", load.method),
        ],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=None if core is None else lambda: os.sched_setaffinity(0, {core}),
    )
    for line in finished.stdout.splitlines():
        if line.startswith("RESULT "):
            report: dict[str, float] = json.loads(line.removeprefix("RESULT "))
            return report
    raise RuntimeError(f"wrk: {finished.stdout}{finished.stderr}")


def measure_one(wrk: str, case: Case, contender: str, cases: list[Case]) -> None:
    """One contender's bursts of all the loads of `cases`, which its server is started for."""
    seconds = LONG_BURST if case.app == "django" else BURST
    with running(case.server, target(case.app, contender), core=two_cores()[0]) as server:
        burst(wrk, server.port, case.load, WARM_UP)
        for each in random.sample(cases, len(cases)):
            before = server.cpu_seconds()
            report = burst(wrk, server.port, each.load, seconds)
            cpu = server.cpu_seconds() - before
            if report["errors"] or not report["requests"]:
                raise RuntimeError(f"{each}: {contender} failed: {report}")
            each.bursts.setdefault(contender, []).append(
                Burst(
                    per_second=report["requests"] / report["seconds"],
                    p99_ms=report["p99"] * 1e3,
                    cpu_us=cpu / report["requests"] * 1e6,
                )
            )


def taking_part(case: Case) -> list[str]:
    """The contenders; those that keep the body from the application have no part in a POST."""
    names = [UNWRAPPED, *(name for name in contenders() if name != PASS_THROUGH)]
    if BEFORE in names:
        names = [UNWRAPPED, OURS, BEFORE]
    return [name for name in names if name != TASK_GROUP or case.app != "django"]


def measure(chosen: dict[tuple[str, str], list[Load]], rounds: int) -> list[Case]:
    wrk = program("wrk", "wrk")
    groups = [[Case(*key, load) for load in loads] for key, loads in chosen.items()]
    for number in range(rounds):
        for cases in random.sample(groups, len(groups)):
            names = taking_part(cases[0])
            for contender in random.sample(names, len(names)):
                able = [
                    case for case in cases if contender != TASK_GROUP or case.load.method == "GET"
                ]
                measure_one(wrk, able[0], contender, able)
        print(f"round {number + 1} of {rounds}", flush=True)
    return [case for cases in groups for case in cases]


def show(case: Case) -> None:
    print(f"\n{case}")
    print(
        f"{'':26}{'requests/s':>11}{'÷ unwrapped':>12}{'p99 ms':>9}"
        f"{'CPU µs':>9}{'minimum':>9}{'added':>8}{'of minima':>11}{'ours ÷ it':>11}"
    )
    for line in case.lines():
        text = (
            f"{line['name']:26}{line['per_second']:>11.0f}{line['share']:>12.2f}"
            f"{line['p99_ms']:>9.1f}{line['cpu_us']:>9.1f}{line['cpu_us_minimum']:>9.1f}"
        )
        if line["name"] != UNWRAPPED:
            text += f"{line['added_cpu_us']:>+8.1f}{line['added_cpu_us_of_minima']:>+11.1f}"
        if line["name"] not in (UNWRAPPED, OURS):
            text += f"{case.share_of_added(line['name']):>11.2f}"
        print(text)


def misses(cases: list[Case]) -> list[str]:
    """Which goals are missed, as sentences."""
    found = []
    for case in cases:
        share = case.share_of_requests(OURS)
        if share < GOALS.get(case.app, 0):
            found.append(
                f"{case}: {share:.3f} of the requests per second, less than {GOALS[case.app]}"
            )
        peers = [name for name in case.bursts if name not in (UNWRAPPED, OURS, BEFORE)]
        for name in peers:
            if statistics.median(case.added(name)) < statistics.median(case.added(OURS)):
                found.append(f"{case}: {name} adds less CPU time than ours")
        if case.app == "starlette" and FASTAPI_DISCONNECT in case.bursts:
            of_added = case.share_of_added(FASTAPI_DISCONNECT)
            if of_added > SHARE_OF_FASTAPI_DISCONNECT:
                found.append(
                    f"{case}: {of_added:.3f} of the CPU time that {FASTAPI_DISCONNECT} adds, more"
                    f" than {SHARE_OF_FASTAPI_DISCONNECT}"
                )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="one short round, of few cases")
    size.add_argument("--full", action="store_true", help="all the cases")
    parser.add_argument("--rounds", type=int, help="(default 5)")
    parser.add_argument("--only", metavar="TEXT", default="", help="cases whose name has TEXT")
    parser.add_argument("--check", action="store_true", help="status 1 if a goal is missed")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    parser.add_argument("--before", metavar="CHECKOUT", help="compare with it, and nothing else")
    options = parser.parse_args()
    if options.before:
        os.environ[CHECKOUT_BEFORE] = os.path.abspath(options.before)
    chosen = {(server, app): LOADS for server in (UVICORN, GRANIAN) for app in APPS}
    if options.quick:
        chosen = {(UVICORN, "starlette"): LOADS[:2]}
    elif not options.full:
        chosen = CASES
    chosen = {key: loads for key, loads in chosen.items() if options.only in ", ".join(key)}
    rounds = options.rounds or (1 if options.quick else 5)
    cases = measure(chosen, rounds)
    made_on = environment()
    print(", ".join(f"{name} {value}" for name, value in made_on.items()))
    print(f"{rounds} rounds; CPU time of the server per request, and what is added to unwrapped")
    for case in cases:
        show(case)
    missed = misses(cases)
    print()
    for sentence in missed:
        print(f"missed: {sentence}")
    if not missed:
        print("all the goals are reached")
    print(f"{AIOFENCE}'s middleware alone cancels nothing: for that a handler enters a fence")
    if options.json:
        figures = [
            {
                "server": case.server,
                "app": case.app,
                "method": case.load.method,
                "connections": case.load.connections,
                "contenders": case.lines(),
            }
            for case in cases
        ]
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"environment": made_on, "cases": figures, "missed": missed}, file, indent=1)
    return 1 if options.check and missed and not options.quick else 0


if __name__ == "__main__":
    raise SystemExit(main())

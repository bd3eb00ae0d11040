"""Requests that wait in line, whose clients leave: how many of them are begun all the same?

    python tests/benchmarks/waiting_line.py [--quick] [--check] [--json FILE]

`nox -s bench -- queue` runs it; a file of that name would hide the standard library's module.

An endpoint works for a second with one of four permits: an async one waits for a semaphore, a sync
one for a thread.  Four clients hold them all.  20 more come, wait in line, and leave after 200 ms.
Then comes one who waits for as long as it takes.  Nobody wants the answers of the 20, but without
cancellation they are all worked on before the patient client has its turn.

It is measured behind uvicorn, unwrapped and with ours: how many of the 20 are begun, and for how
long the patient one waits.

`--check` ends with status 1 if, with ours, one of the 20 is begun, or the patient client waits for
half a second more than the work before it and its own.
"""

import argparse
import asyncio
import contextlib
import json
import time
from statistics import median
from typing import Any

from machine import environment
from serving import UVICORN, RunningServer, running
from waiting_line_apps import PERMITS, WORK

LEAVING = 20
"""Clients who leave while they wait in line."""
LEAVE_AFTER = 0.2
"""Seconds that they wait."""
GOAL_SECONDS = 2 * WORK + 0.5
UNWRAPPED, OURS = "unwrapped", "asgi_disconnect"
TARGETS = {UNWRAPPED: "waiting_line_apps:unwrapped", OURS: "waiting_line_apps:ours"}
ENDPOINTS = {"/async": "async endpoint, a semaphore", "/sync": "sync endpoint, the threads"}


class Clients:
    """Those of one server, and of one of its endpoints."""

    def __init__(self, server: RunningServer, path: str) -> None:
        self._server = server
        self._path = path

    async def one_round(self, number: int) -> dict[str, float]:
        """Hold all permits, wait in line and leave, and be patient."""
        # Each round's clients have names of their own, since the server counts on.
        holding, leaving, patient = (
            f"{name}{number}" for name in ("holding", "leaving", "patient")
        )
        held = [asyncio.create_task(self._ask(holding)) for _ in range(PERMITS)]
        await self._until(f"client={holding} begun", PERMITS)
        left = [asyncio.create_task(self._ask(leaving)) for _ in range(LEAVING)]
        await self._until(f"client={leaving} arrived", LEAVING)
        await asyncio.sleep(LEAVE_AFTER)
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        start = time.monotonic()
        await self._ask(patient)
        seconds = time.monotonic() - start
        await asyncio.gather(*held)
        counts = await self._until(f"client={leaving} ended", LEAVING)
        return {"begun": counts.get(f"client={leaving} begun", 0), "patient_seconds": seconds}

    async def _ask(self, client: str) -> None:
        """One request, to its answer; cancelled, its client leaves."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        try:
            request = f"GET {self._path}?client={client} HTTP/1.1\r\nHost: benchmark\r\n"
            writer.write(f"{request}Connection: close\r\n\r\n".encode("ascii"))
            answer = await reader.read()
        finally:
            writer.transport.abort()
        if answer[9:12] != b"200":
            raise RuntimeError(f"answered {answer[:80]!r}")

    async def _until(self, what: str, count: int) -> dict[str, int]:
        """Ask until it has happened so often; returns all counts."""
        while True:
            counts: dict[str, int] = await asyncio.to_thread(self._server.get_json, "/count")
            if counts.get(what, 0) >= count:
                return counts
            await asyncio.sleep(0.02)


async def run_all(
    servers: dict[tuple[str, str], RunningServer], rounds: int
) -> dict[tuple[str, str], list[dict[str, float]]]:
    """Each server, all at the same time: they are idle mostly."""

    async def run(server: RunningServer, path: str) -> list[dict[str, float]]:
        clients = Clients(server, path)
        return [await clients.one_round(number) for number in range(rounds)]

    found = await asyncio.gather(*(run(server, path) for (path, _), server in servers.items()))
    return dict(zip(servers, found, strict=True))


def measure(rounds: int) -> list[dict[str, Any]]:
    """A line for each endpoint and each way."""
    with contextlib.ExitStack() as stack:
        servers = {
            (path, name): stack.enter_context(running(UVICORN, target))
            for path in ENDPOINTS
            for name, target in TARGETS.items()
        }
        found = asyncio.run(run_all(servers, rounds))
    return [
        {
            "endpoint": ENDPOINTS[path],
            "name": name,
            "begun": [int(one["begun"]) for one in rounds_of_it],
            "patient_seconds": [one["patient_seconds"] for one in rounds_of_it],
            "median_begun": median(one["begun"] for one in rounds_of_it),
            "median_patient_seconds": median(one["patient_seconds"] for one in rounds_of_it),
        }
        for (path, name), rounds_of_it in found.items()
    ]


def show(lines: list[dict[str, Any]]) -> None:
    print(f"\n{'':30}{'':20}{f'begun of {LEAVING}':>14}{'the patient one waits':>24}")
    for line in lines:
        print(
            f"{line['endpoint']:30}{line['name']:20}{line['median_begun']:>14.0f}"
            f"{line['median_patient_seconds']:>22.2f} s"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, help="(default 5)")
    parser.add_argument("--check", action="store_true", help="status 1 if the goals are missed")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    options = parser.parse_args()
    made_on = environment()
    print(", ".join(f"{name} {value}" for name, value in made_on.items()))
    lines = measure(options.rounds or (1 if options.quick else 5))
    show(lines)
    missed = []
    for line in lines:
        if line["name"] == OURS and any(line["begun"]):
            missed.append(f"{line['endpoint']}: some of those who left are begun: {line['begun']}")
        if line["name"] == OURS and max(line["patient_seconds"]) > GOAL_SECONDS:
            missed.append(f"{line['endpoint']}: the patient one waits: {line['patient_seconds']}")
    print()
    for sentence in missed:
        print(f"missed: {sentence}")
    if not missed:
        print(f"the goals are reached: none is begun, and at most {GOAL_SECONDS} s")
    if options.json:
        figures = {
            "environment": made_on,
            "leaving": LEAVING,
            "permits": PERMITS,
            "seconds_of_work": WORK,
            "lines": lines,
            "missed": missed,
        }
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    raise SystemExit(main())

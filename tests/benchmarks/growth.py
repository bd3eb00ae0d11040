"""What the middleware adds, over what there can be more and more of: it is to stay flat.

    python tests/benchmarks/growth.py [--quick] [--rounds N] [--check] [--json FILE]

In process, without a socket, on asyncio: CPU microseconds added to the bare app

- per request, over the awaits in the handler: each passes through our two coroutines, as it does
  through those of any middleware, so that this is told beside what one that only awaits the app
  adds, and is to stay a small share of what an await of `asyncio.sleep(0)` takes;
- per piece, over the pieces of a body that the handler reads, and of one that it sends;
- per request, over the requests that are in flight at once (each takes 20 ms, and is watched).

How the figures come about stands in `rounds`.  `--check` ends with status 1 if more of it makes
one dearer: by a factor of more than `LIMIT`, or by more than `SHARE_OF_AN_AWAIT`.
"""

import argparse
import asyncio
import functools
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from contenders import PassThrough
from machine import environment
from rounds import Interleaved
from scripted import BODY, SCOPE, START, Message, Server, all_at_once, one_by_one, takes_20_ms

from asgi_disconnect import DisconnectMiddleware

LIMIT = 2.0
"""How much dearer the last may be than the cheapest; half of a microsecond is let pass."""
SLACK = 0.5
SHARE_OF_AN_AWAIT = 0.15
AWAITS = "awaits in the handler"
BARE, PASS_THROUGH, OURS = "bare", "pass-through", "ours"
PIECE = bytes(1024)


@dataclass(frozen=True)
class Growing:
    """Something of which there is more and more."""

    name: str
    unit: str
    sizes: tuple[int, ...]
    batch: Callable[[int, Any], Coroutine[Any, Any, int]]
    """Serve requests of this size, by this wrapping; returns how many units there were."""


class Uploading(Server):
    """One request, whose body comes in many pieces."""

    __slots__ = ("_left",)

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self._left = pieces

    async def receive(self) -> Message:
        if not self._left:
            return await super().receive()
        self._left -= 1
        self._given = True
        return {"type": "http.request", "body": PIECE, "more_body": self._left > 0}


async def awaits(count: int, wrap: Any) -> int:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(count):
            await asyncio.sleep(0)
        await send(START)
        await send(BODY)

    requests = max(10, 500 // (count + 1))
    await one_by_one(wrap(handler), requests)
    return requests


async def pieces_received(count: int, wrap: Any) -> int:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await send(START)
        await send(BODY)

    app = wrap(handler)
    requests = max(2, 2000 // count)
    for _ in range(requests):
        server = Uploading(count)
        await asyncio.ensure_future(app({**SCOPE}, server.receive, server.send))
    return requests * count


async def pieces_sent(count: int, wrap: Any) -> int:
    more: Message = {**BODY, "body": PIECE, "more_body": True}

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for _ in range(count):
            await send(more)
        await send(BODY)

    requests = max(2, 2000 // count)
    await one_by_one(wrap(handler), requests)
    return requests * count


async def in_flight(count: int, wrap: Any) -> int:
    app = wrap(takes_20_ms)
    waves = max(1, 200 // count)
    for _ in range(waves):
        await all_at_once(app, count)
    return waves * count


GROWING = [
    Growing(AWAITS, "request", (0, 1, 10, 100), awaits),
    Growing("pieces of a body received", "piece", (10, 100, 1000, 10_000), pieces_received),
    Growing("pieces of a body sent", "piece", (10, 100, 1000, 10_000), pieces_sent),
    Growing("requests in flight", "request", (10, 100, 1000, 10_000), in_flight),
]
"""The sizes begin where what is added once for each request no longer counts."""


def measure(growing: Growing, rounds: int) -> dict[int, dict[str, float]]:
    """Microseconds that are added for each unit, at each size."""
    loop = asyncio.new_event_loop()
    wraps: dict[str, Callable[[Any], Any]] = {
        BARE: lambda app: app,
        PASS_THROUGH: PassThrough,
        OURS: DisconnectMiddleware,
    }
    cases = {}
    for size in growing.sizes:
        units = loop.run_until_complete(growing.batch(size, wraps[OURS]))
        cases[size] = Interleaved(
            {
                name: functools.partial(_run, loop, growing.batch, size, wrap)
                for name, wrap in wraps.items()
            },
            units,
        )
    for number in range(-1, rounds):
        for case in cases.values():
            case.round(counted=number >= 0)
    loop.close()
    found = {}
    for size, case in cases.items():
        timings = case.timings()
        bare, ours, through = timings[BARE], timings[OURS], timings[PASS_THROUGH]
        found[size] = {
            "bare": min(bare.rounds),
            "median": ours.added_median(bare),
            "minimum": ours.added_minimum(bare),
            "pass_through": through.added_minimum(bare),
        }
    return found


def _run(loop: asyncio.AbstractEventLoop, batch: Any, size: int, wrap: Any) -> None:
    loop.run_until_complete(batch(size, wrap))


def show(growing: Growing, found: dict[int, dict[str, float]]) -> None:
    print(f"\n{growing.name}: CPU µs per {growing.unit}")
    print(f"{'':10}{'bare':>10}{'added':>10}{'of minima':>11}{'pass-through':>14}")
    for size, line in found.items():
        print(
            f"{size:10}{line['bare']:>10.1f}{line['median']:>+10.1f}{line['minimum']:>+11.1f}"
            f"{line['pass_through']:>+14.1f}"
        )


def share_of_an_await(found: dict[int, dict[str, float]]) -> float:
    """What is added for each await, divided by what one takes."""
    few, many = found[min(found)], found[max(found)]
    return (many["minimum"] - few["minimum"]) / (many["bare"] - few["bare"])


def steepness(found: dict[int, dict[str, float]]) -> float:
    """What the last adds, divided by the least that one does."""
    added = [line["minimum"] for line in found.values()]
    return (added[-1] - SLACK) / max(min(added), SLACK)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--rounds", type=int, help="(default 20)")
    parser.add_argument("--check", action="store_true", help="status 1 if one is not flat")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    options = parser.parse_args()
    rounds = options.rounds or (2 if options.quick else 20)
    made_on = environment()
    print(", ".join(f"{name} {value}" for name, value in made_on.items()))
    print(f"{rounds} rounds")
    results = {growing.name: measure(growing, rounds) for growing in GROWING}
    for growing in GROWING:
        show(growing, results[growing.name])
    share = share_of_an_await(results[AWAITS])
    print(f"\neach await is dearer by {share:.2f} of itself")
    missed = [
        f"{name}: the last is {steepness(found):.1f} times as dear as the cheapest"
        for name, found in results.items()
        if name != AWAITS and steepness(found) > LIMIT
    ]
    if share > SHARE_OF_AN_AWAIT:
        missed.append(f"{AWAITS}: each is dearer by more than {SHARE_OF_AN_AWAIT} of itself")
    for sentence in missed:
        print(f"missed: {sentence}")
    if not missed:
        print("flat, all of them")
    if options.json:
        cases = [
            {"name": growing.name, "unit": growing.unit, "added": results[growing.name]}
            for growing in GROWING
        ]
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"environment": made_on, "cases": cases, "missed": missed}, file, indent=1)
    return 1 if options.check and missed and not options.quick else 0


if __name__ == "__main__":
    raise SystemExit(main())

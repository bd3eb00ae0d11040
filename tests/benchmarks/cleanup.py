"""What becomes of a handler's cleanup when its client leaves, beside other ways to cancel it.

    python tests/benchmarks/cleanup.py [--quick] [--rounds N] [--check] [--json FILE]

A handler takes a resource, works for 20 ms, gives the resource back in `finally`, which takes one
`await` of a millisecond, and responds.  In every round each contender has 300 such requests, which
begin within half a second; each client leaves at a random moment of 30 ms.  Counted are the
resources that nobody has given back when all is over:

- lost by the cancellation: it ended the work, `finally` began, and then its `await` was cancelled;
- lost in passing: the work was done and `finally` had begun by itself when the client left, or
  when the cancellation came, some turns of a busy loop later.  Who cancels at all cancels there
  too, unless the cleanup shields itself.

In process, without a socket; on asyncio and, if it is there, uvloop.  `--check` ends with status 1
if ours is not as good as its promise: nothing lost by the cancellation, and in all about as many
as by `task.cancel()`, which does not wait to see whether a response is just being completed.
"""

import argparse
import asyncio
import json
import platform
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from contenders import FASTAPI_DISCONNECT, OURS, TaskGroup, contenders
from scripted import BODY, SCOPE, START, Message

from asgi_disconnect import DisconnectMiddleware

REQUESTS = 300
WORK, RELEASE, PATIENCE, ARRIVALS = 0.020, 0.001, 0.030, 0.500
"""Seconds: of work, of cleanup, at most until a client leaves, and in which all requests begin."""

LEVEL = "level cancel (task group)"
EDGE = "one task.cancel()"


@dataclass
class Tally:
    """What has become of the requests of one round."""

    taken: int = 0
    completed: int = 0
    lost_by_cancellation: int = 0
    in_cleanup_when_left: int = 0
    in_cleanup_when_reached: int = 0

    @property
    def lost(self) -> int:
        return self.lost_by_cancellation + self.in_cleanup_when_left + self.in_cleanup_when_reached


@dataclass
class Tallies:
    """One contender's rounds."""

    rounds: list[Tally] = field(default_factory=list)

    def median(self, name: str) -> float:
        return statistics.median(getattr(tally, name) for tally in self.rounds)

    def total(self, name: str) -> int:
        return sum(getattr(tally, name) for tally in self.rounds)

    def span(self, name: str) -> str:
        values = [getattr(tally, name) for tally in self.rounds]
        return f"{min(values)}-{max(values)}"


class TaskCancel:
    """The app in a task of its own, which is cancelled once, by asyncio alone."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            task.cancel()

        task = asyncio.ensure_future(self.app(scope, receive, send))
        watcher = asyncio.ensure_future(watch())
        await asyncio.wait([task])
        watcher.cancel()


def ways() -> dict[str, Callable[[Any], Any]]:
    """Each contender's name, and how it wraps an application."""
    found: dict[str, Callable[[Any], Any]] = {
        OURS: lambda app: DisconnectMiddleware(app, watch_after=0),  # as the others do
        EDGE: TaskCancel,
        LEVEL: TaskGroup,
    }
    others = contenders()
    if FASTAPI_DISCONNECT in others:
        found[FASTAPI_DISCONNECT] = others[FASTAPI_DISCONNECT]
    return found


class LeavingClient:
    """One request, whose client leaves after a random time."""

    def __init__(self) -> None:
        self._given = False
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        if self._given:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self._given = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        pass

    async def request(self, app: Any) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(random.uniform(0, ARRIVALS))
        leaving = loop.call_later(random.uniform(0, PATIENCE), self.gone.set)
        scope = {**SCOPE, "gone": self.gone}
        await asyncio.wait([loop.create_task(app(scope, self.receive, self.send))])
        leaving.cancel()


async def storm(wrap: Callable[[Any], Any]) -> Tally:
    """One round of one contender."""
    tally = Tally()

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        tally.taken += 1
        cancelled = released = False
        try:
            await asyncio.sleep(WORK)
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            left_before = scope["gone"].is_set()
            try:
                await asyncio.sleep(RELEASE)
                released = True
            finally:
                if released:
                    pass
                elif cancelled:
                    tally.lost_by_cancellation += 1
                elif left_before:
                    tally.in_cleanup_when_reached += 1
                else:
                    tally.in_cleanup_when_left += 1
        await send(START)
        await send(BODY)
        tally.completed += 1

    app = wrap(handler)
    await asyncio.gather(*(LeavingClient().request(app) for _ in range(REQUESTS)))
    return tally


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:
        print("uvloop is not installed: asyncio alone")
    else:
        found["uvloop"] = uvloop.new_event_loop
    return found


def measure(rounds: int) -> dict[str, dict[str, Tallies]]:
    """The tallies of each loop's contenders, who take turns in an order that is drawn anew."""
    wraps = ways()
    results: dict[str, dict[str, Tallies]] = {}
    for loop_name, new_loop in loops().items():
        loop = new_loop()
        results[loop_name] = {name: Tallies() for name in wraps}
        for _ in range(rounds):
            for name in random.sample(sorted(wraps), len(wraps)):
                results[loop_name][name].rounds.append(loop.run_until_complete(storm(wraps[name])))
        loop.close()
    return results


def show(loop: str, results: dict[str, Tallies]) -> None:
    print(f"\n{loop}: left held of {REQUESTS}")
    print(f"{'':56}{'in passing: in cleanup when':>30}")
    print(
        f"{'':28}{'median':>8}{'range':>10}{'by the cancellation':>21}"
        f"{'it left':>10}{'it was reached':>17}"
    )
    for name, tallies in sorted(results.items(), key=lambda item: item[1].median("lost")):
        print(
            f"{name:28}{tallies.median('lost'):>8.0f}{tallies.span('lost'):>10}"
            f"{tallies.median('lost_by_cancellation'):>21.0f}"
            f"{tallies.median('in_cleanup_when_left'):>10.0f}"
            f"{tallies.median('in_cleanup_when_reached'):>17.0f}"
        )


def excesses(results: dict[str, dict[str, Tallies]]) -> list[str]:
    """Which promises are not kept, as sentences."""
    found = []
    for loop, tallies in results.items():
        ours, edge, level = (tallies[name] for name in (OURS, EDGE, LEVEL))
        if lost := ours.total("lost_by_cancellation"):
            found.append(f"{loop}: {lost} cleanups that our cancellation began were lost")
        # On a machine that is busy with other things the turns of the loop are long.
        if ours.total("lost") > 2 * edge.total("lost") + 5 * len(ours.rounds):
            found.append(f"{loop}: more left held than by {EDGE}")
        if level.total("lost") < 3 * ours.total("lost"):
            found.append(f"{loop}: not far fewer left held than by {LEVEL}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--rounds", type=int, help="(default 5)")
    parser.add_argument("--check", action="store_true", help="status 1 if a promise is not kept")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 5)
    print(f"python {platform.python_version()}; {rounds} rounds")
    results = measure(rounds)
    for loop, tallies in results.items():
        show(loop, tallies)
    broken = excesses(results)
    print()
    for sentence in broken:
        print(f"not kept: {sentence}")
    if not broken:
        print("kept: no cleanup that our cancellation began is lost")
    if sys.version_info < (3, 12):
        print(f"{FASTAPI_DISCONNECT} needs Python 3.12 and was not compared")
    if options.json:
        figures = {
            loop: {name: [vars(tally) for tally in t.rounds] for name, t in tallies.items()}
            for loop, tallies in results.items()
        }
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"requests": REQUESTS, "loops": figures, "broken": broken}, file, indent=1)
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    raise SystemExit(main())

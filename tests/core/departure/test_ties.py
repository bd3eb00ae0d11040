"""10,000 disconnects at random ticks: none missed, none after the response is complete."""

import random
from typing import Any

import anyio
import pytest

from ..scripted import HUNG, LAST, MORE, REQUEST, START, Server, piece, ticks

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

EXCHANGES = 10_000
AT_ONCE = 250


class Exchange:
    """One app with random pauses between its steps, and a client that leaves at a random tick."""

    def __init__(self, chance: random.Random) -> None:
        self.body = chance.choice(
            [[REQUEST], [piece(b"a"), piece(b"b", more_body=False)], [piece(b"a")] * 3 + [REQUEST]]
        )
        self.pauses = [chance.randrange(6) for _ in range(12)]
        self.pieces = chance.randrange(3)
        self.reads = chance.choice([0, len(self.body)])
        self.listens = chance.random() < 0.3
        self.leaves_at = chance.randrange(60)
        self.gives_up_in = chance.randrange(4)
        self.complete = False
        self.completed_before_leaving = False
        self.cancelled_when_complete = False
        self.outcome = "nothing"

    async def pause(self) -> None:
        await ticks(self.pauses.pop() if self.pauses else 1)

    async def app(self, scope: Any, receive: Any, send: Any) -> str:
        cancelled = anyio.get_cancelled_exc_class()
        try:
            if self.listens:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self.work, receive, send)
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    if self.complete:
                        self.outcome = "finished"
                    else:
                        self.outcome = "told"
                        tasks.cancel_scope.cancel()
            else:
                await self.work(receive, send)
                self.outcome = "finished"
        except cancelled:
            self.cancelled_when_complete = self.complete
            self.outcome = "cancelled"
            raise
        return "returned"

    async def work(self, receive: Any, send: Any) -> None:
        await self.pause()
        if not self.listens:
            for _ in range(self.reads):
                await receive()
        await self.pause()
        await send(START)
        for _ in range(self.pieces):
            await self.pause()
            await send(MORE)
        await self.pause()
        await send(LAST)
        self.complete = True
        await self.pause()  # background work

    async def run(self) -> None:
        server = Server(*self.body)

        async def leave() -> None:
            await ticks(self.leaves_at)
            server.leave()

        async def send(message: Any) -> None:
            await ticks(self.gives_up_in)
            if message is LAST:
                server.leave()  # "this exchange is over", as servers say it

        server.send = send  # type: ignore[method-assign]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            returned = await server.run(self.app, grace=1000)
            tasks.cancel_scope.cancel()
        if self.outcome == "cancelled":
            assert returned is None, vars(self)
            assert not self.cancelled_when_complete, vars(self)
        else:
            assert returned == "returned", vars(self)
            assert self.outcome == "told" or self.complete, vars(self)
        if not self.listens:
            assert self.outcome != "told"


async def test_disconnects_at_random_ticks() -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    outcomes: dict[str, int] = {}
    for _ in range(EXCHANGES // AT_ONCE):
        exchanges = [Exchange(chance) for _ in range(AT_ONCE)]
        with anyio.fail_after(HUNG * 10):
            async with anyio.create_task_group() as tasks:
                for exchange in exchanges:
                    tasks.start_soon(exchange.run)
        for exchange in exchanges:
            outcomes[exchange.outcome] = outcomes.get(exchange.outcome, 0) + 1
    # Every way out was met often.
    assert set(outcomes) == {"finished", "told", "cancelled"}, outcomes
    assert min(outcomes.values()) > EXCHANGES / 50, outcomes


async def sleepless(scope: Any, receive: Any, send: Any) -> None:
    await anyio.sleep_forever()


async def test_a_departure_is_never_missed() -> None:
    """Whatever the tick: an app that would never end ends."""
    chance = random.Random(1)
    for _ in range(EXCHANGES // AT_ONCE):
        async with anyio.create_task_group() as tasks:

            async def one(leaves_at: int, body: list[Any], watch_after: float) -> None:
                server = Server(*body)
                async with anyio.create_task_group() as own:

                    async def leave() -> None:
                        await ticks(leaves_at)
                        server.leave()

                    own.start_soon(leave)
                    assert await server.run(sleepless, watch_after=watch_after) is None

            for _ in range(AT_ONCE):
                tasks.start_soon(
                    one,
                    chance.randrange(40),
                    chance.choice([[], [REQUEST], [piece(b"a")]]),
                    chance.choice([0, 0, 0.0001]),
                )

"""10,000 disconnects at random ticks: none missed, none after the response is complete."""

import random
from typing import Any

import anyio
import pytest

from asgi_disconnect import current_disconnect

from ...backends import only_asyncio
from ..scripted import DISCONNECT, HUNG, LAST, MORE, REQUEST, START, Server, piece, ticks

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


@pytest.mark.parametrize("length", range(1, 5))
@pytest.mark.parametrize("leaves_at", range(4, 20))
async def test_a_last_send_that_takes_its_time_is_not_the_end_of_background_work(
    length: int, leaves_at: int
) -> None:
    """The client leaves just before it, or while it lasts."""
    server = Server(REQUEST)
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(8)
        await send(START)
        await send(LAST)
        await ticks(100)
        done.append("background")

    async with anyio.create_task_group() as tasks:

        async def slow_send(message: Any) -> None:
            server.sent.append(message)
            drained = anyio.Event()

            async def drain() -> None:
                await ticks(length)
                drained.set()

            tasks.start_soon(drain)
            await drained.wait()

        server.send = slow_send  # type: ignore[method-assign]

        async def leave() -> None:
            await ticks(leaves_at)
            server.leave()

        tasks.start_soon(leave)
        await server.run(app, grace=1000)
    completed = server.types == ["start", "body"]  # handed to the server, be it not drained
    assert done == (["background"] if completed else [])


async def test_a_last_send_that_never_returns_is_given_up_after_grace() -> None:
    """As hypercorn's on HTTP/2, to a client that has left."""
    server = Server(REQUEST)
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        server.leave()
        while not current_disconnect().is_set():
            await ticks(1)
        try:
            await send(LAST)
        finally:
            ended.append(True)

    async def send(message: Any) -> None:
        if message is LAST:
            await anyio.sleep_forever()

    server.send = send  # type: ignore[method-assign]
    await server.run(app, grace=0.01)
    assert ended == [True]


@only_asyncio
@pytest.mark.parametrize("length", range(1, 7))
async def test_a_last_send_that_lasts_some_ticks_as_grace_ends_is_no_reason_to_cancel(
    length: int,
) -> None:
    """The app has been told, and has completed its response in its time."""
    server = Server(REQUEST)
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        await send(START)
        await send(LAST)
        await ticks(100)
        done.append("background")

    async def slow_send(message: Any) -> None:
        await ticks(length)

    server.send = slow_send  # type: ignore[method-assign]
    await server.run(app, grace=0)
    assert done == ["background"]

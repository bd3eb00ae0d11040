"""Nothing that an await has already been given is lost to our cancellation (contract §4.4)."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from ...backends import only_asyncio
from ..scripted import HUNG, REQUEST, Server, ticks

pytestmark = [pytest.mark.anyio, only_asyncio]

Take = Callable[["Pool"], Awaitable[int]]


class Pool:
    """Hands what is put to whoever waits, as connection pools do: it is theirs before they run."""

    def __init__(self) -> None:
        self.free: list[int] = []
        self.waiting: list[asyncio.Future[int]] = []

    async def get(self) -> int:
        if self.free:
            return self.free.pop()
        self.waiting.append(asyncio.get_running_loop().create_future())
        return await self.waiting[-1]

    def put(self, item: int) -> None:
        while self.waiting:
            future = self.waiting.pop(0)
            if not future.done():
                future.set_result(item)
                return
        self.free.append(item)


async def plainly(pool: "Pool") -> int:
    return await pool.get()


async def from_a_generator(pool: "Pool") -> int:
    async def items() -> AsyncIterator[int]:
        yield await pool.get()

    async for item in items():
        return item
    raise AssertionError


async def by_anext(pool: "Pool") -> int:
    async def items() -> AsyncIterator[int]:
        yield await pool.get()

    return await items().__anext__()


async def by_asend(pool: "Pool") -> int:
    async def items() -> Any:
        yield await pool.get()

    item: int = await items().asend(None)
    return item


async def as_a_context(pool: "Pool") -> int:
    @asynccontextmanager
    async def item() -> AsyncIterator[int]:
        yield await pool.get()

    async with item() as taken:
        return taken


async def by_an_awaitable_of_its_own(pool: "Pool") -> int:
    class Item:
        def __await__(self) -> Generator[Any, None, int]:
            return (yield from pool.get().__await__())

    return await Item()


async def by_an_iterator_of_its_own(pool: "Pool") -> int:
    class Iterator:
        def __init__(self) -> None:
            self.inner = pool.get().__await__()

        def __iter__(self) -> "Iterator":
            return self

        def __next__(self) -> Any:
            return self.inner.send(None)

        def send(self, value: Any) -> Any:
            return self.inner.send(value)

        def throw(self, *error: Any) -> Any:
            return self.inner.throw(*error)

    class Item:
        def __await__(self) -> Any:
            return Iterator()

    item: int = await Item()
    return item


WAYS = [
    *(plainly, from_a_generator, by_anext, by_asend, as_a_context),
    *(by_an_awaitable_of_its_own, by_an_iterator_of_its_own),
]


@pytest.mark.parametrize("take", WAYS)
@pytest.mark.parametrize("lead", range(16))
async def test_what_a_pool_has_handed_over_arrives(take: Take, lead: int) -> None:
    """The item is handed over some ticks before or after the departure, in either order."""
    for put_first in (True, False):
        server = Server(REQUEST)
        pool = Pool()
        got: list[int] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            while True:
                got.append(await take(pool))  # noqa: B023

        running = asyncio.create_task(server.run(app))
        await ticks(10)
        for put in (put_first, not put_first):
            if put:
                pool.put(1)
            else:
                server.leave()
            await ticks(lead)
        with anyio.fail_after(HUNG):
            await running
        assert len(got) + len(pool.free) == 1


@pytest.mark.parametrize("leave_after", range(8))
async def test_what_is_on_its_way_to_the_handler_is_not_lost(leave_after: int) -> None:
    """A task that is cancelled when it is about to run loses what its await has brought."""
    server = Server(REQUEST)
    slots: list[asyncio.Future[int]] = []
    put, got = itertools.count(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        while True:
            slots.append(asyncio.get_running_loop().create_future())
            got.append(await slots[0])

    async def feed() -> None:
        while not stopped.is_set():
            if slots and len(got) < 100:
                slots.pop().set_result(next(put))
            if len(got) == leave_after:
                server.leave()
            await ticks(1)

    stopped = anyio.Event()
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed)
            assert await server.run(app) is None
            stopped.set()
    assert got == list(range(next(put)))


async def test_what_only_looks_as_if_it_were_on_its_way_is_not_waited_for() -> None:
    """A future that is done beside the one that is awaited, in an awaitable of somebody's own."""
    server = Server(REQUEST)

    class Odd:
        def __await__(self) -> Any:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            pending: Any = asyncio.get_running_loop().create_future()
            pending._asyncio_future_blocking = True
            yield pending
            done.result()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await Odd()

    with anyio.fail_after(HUNG):
        assert await server.run(app) is None


async def test_a_handler_about_to_run_at_that_very_moment_is_cancelled() -> None:
    """Many short awaits: whatever the moment, it is reached once, and its cleanup is not."""
    for leave_after in range(12):
        server = Server(REQUEST)
        events = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            try:
                async with anyio.create_task_group() as tasks:

                    async def leave() -> None:
                        await ticks(leave_after)  # noqa: B023
                        server.leave()  # noqa: B023

                    tasks.start_soon(leave)
                    while True:
                        await ticks(1)
            finally:
                await ticks(5)
                events.append("cleaned up")  # noqa: B023

        assert await server.run(app) is None
        assert events == ["cleaned up"]


@pytest.mark.parametrize("busy", ["queue", "sleep(0)", "both"])
async def test_a_handler_that_never_stands_still_is_cancelled(busy: str) -> None:
    """Every look finds it about to run."""
    server = Server(REQUEST)
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    events = []

    async def produce() -> None:
        for number in range(1_000_000):
            await queue.put(number)
            await asyncio.sleep(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            while True:
                if busy != "sleep(0)":
                    await queue.get()
                if busy != "queue":
                    await asyncio.sleep(0)
        finally:
            await ticks(5)
            events.append("cleaned up")

    producing = asyncio.create_task(produce())
    running = asyncio.create_task(server.run(app))
    await ticks(20)
    server.leave()
    with anyio.fail_after(HUNG):
        assert await running is None
    producing.cancel()
    assert events == ["cleaned up"]


async def test_a_handler_whose_every_future_is_done_is_cancelled_all_the_same() -> None:
    server = Server(REQUEST)
    events = []

    class Done:
        """Waits for what has come already."""

        def __await__(self) -> Any:
            future: Any = asyncio.get_running_loop().create_future()
            future.set_result(None)
            future._asyncio_future_blocking = True
            yield future

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            while True:
                await Done()
        finally:
            await ticks(5)
            events.append("cleaned up")

    with anyio.fail_after(HUNG):
        assert await server.run(app) is None
    assert events == ["cleaned up"]

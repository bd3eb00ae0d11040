"""A thread whose work is abandoned keeps its place until it returns (contract §7)."""

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asgi_disconnect._departure.threads import AbandonableThreads, Place

from ..scripted import HUNG, ticks

pytestmark = pytest.mark.anyio


@pytest.fixture
async def call_threadsafe() -> Callable[..., Any]:
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon


async def acquire(threads: AbandonableThreads, call_threadsafe: Any) -> Place:
    with anyio.fail_after(HUNG):
        return await threads.acquire(call_threadsafe)


async def test_it_returns_what_the_function_returns_or_raises(call_threadsafe: Any) -> None:
    threads = AbandonableThreads("of this test", 1)

    def fails() -> None:
        raise ValueError("the function's")

    for _ in range(3):
        place = await acquire(threads, call_threadsafe)
        assert await place.run(threading.get_ident) != threading.get_ident()
        place = await acquire(threads, call_threadsafe)
        with pytest.raises(ValueError, match="the function's"):
            await place.run(fails)


async def test_a_place_is_kept_until_the_thread_returns(call_threadsafe: Any) -> None:
    threads = AbandonableThreads("of this test", 1)
    begun, go_on = anyio.Event(), threading.Event()
    events = []

    def hangs() -> None:
        call_threadsafe(begun.set)
        go_on.wait(HUNG)
        events.append("returned")

    async with anyio.create_task_group() as abandoned:
        abandoned.start_soon((await acquire(threads, call_threadsafe)).run, hangs)
        await begun.wait()
        abandoned.cancel_scope.cancel()
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            await acquire(threads, call_threadsafe)
            events.append("acquired")

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert events == []
        go_on.set()
    assert events == ["returned", "acquired"]


async def test_what_is_cancelled_before_its_thread_begins_is_not_called(
    call_threadsafe: Any,
) -> None:
    threads = AbandonableThreads("of this test", 1)
    called: list[Any] = []
    for _ in range(3):
        place = await acquire(threads, call_threadsafe)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await place.run(lambda: called.append("never"))
    assert called == []


@pytest.mark.parametrize("moment", ["before", "in the same tick", "after"])
async def test_whoever_is_cancelled_while_it_waits_takes_no_place_along(
    moment: str, call_threadsafe: Any
) -> None:
    threads = AbandonableThreads("of this test", 1)
    first = await acquire(threads, call_threadsafe)
    waiting = anyio.CancelScope()
    acquired = []

    async def wait() -> None:
        with waiting:
            acquired.append(await threads.acquire(call_threadsafe))

    async def give_back() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await first.run(threading.get_ident)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        if moment == "before":
            waiting.cancel()
            await ticks(3)
        await give_back()
        if moment == "after":
            await ticks(3)
        waiting.cancel()
    assert len(acquired) == (moment == "after")
    if not acquired:
        await acquire(threads, call_threadsafe)


async def test_cancelled_at_any_moment_no_place_is_lost_or_there_twice(
    call_threadsafe: Any,
) -> None:
    count = 3
    threads = AbandonableThreads("of this test", count)
    chance = random.Random(7)
    counting = threading.Lock()
    at_work = most = calls = 0

    def work() -> None:
        nonlocal at_work, most, calls
        with counting:
            at_work += 1
            calls += 1
            most = max(most, at_work)
        for _ in range(200):
            pass
        with counting:
            at_work -= 1

    async def call(patience: int) -> None:
        async with anyio.create_task_group() as tasks:

            async def acquire_and_run() -> None:
                await (await acquire(threads, call_threadsafe)).run(work)
                tasks.cancel_scope.cancel()

            tasks.start_soon(acquire_and_run)
            await ticks(patience)
            tasks.cancel_scope.cancel()

    for _ in range(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call, chance.randrange(30))
    assert calls > 0
    assert most <= count
    places = [await acquire(threads, call_threadsafe) for _ in range(count)]
    with anyio.move_on_after(0.01) as one_too_many:
        await threads.acquire(call_threadsafe)
    assert one_too_many.cancelled_caught
    for place in places:
        await place.run(work)

"""`add_callback`: what is called when the client leaves (contract §6, §7)."""

import functools
import logging
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import current_disconnect

from ..scripted import HUNG, LAST, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


async def test_callbacks_are_called_once_when_the_client_leaves() -> None:
    """Async ones are awaited, plain ones are called in a thread; removed ones are not called."""
    server = Server(REQUEST)
    called: list[Any] = []

    async def awaited() -> None:
        await ticks(3)
        called.append("awaited")

    def plain() -> None:
        called.append(threading.current_thread() is threading.main_thread())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        disconnect = current_disconnect()
        disconnect.add_callback(awaited)
        disconnect.add_callback(lambda: awaited())
        await anyio.to_thread.run_sync(disconnect.add_callback, plain)
        handle = disconnect.add_callback(lambda: called.append("removed"))
        assert handle.remove()
        assert not handle.remove()
        server.leave()
        await anyio.sleep_forever()

    await server.run(app)
    assert sorted(called, key=str) == [False, "awaited", "awaited"]


async def test_a_callback_runs_in_the_context_of_whoever_added_it() -> None:
    server = Server(REQUEST)
    found: list[Any] = []

    async def awaited() -> None:
        found.append(current_disconnect())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().add_callback(awaited)
        current_disconnect().add_callback(lambda: found.append(current_disconnect()))
        found.append(current_disconnect())
        server.leave()
        await anyio.sleep_forever()

    await server.run(app, watch_after=0.001)
    assert len(found) == 3
    assert found[0] is found[1] is found[2]


async def test_a_callback_that_is_there_twice_is_called_twice_and_removed_once() -> None:
    server = Server(REQUEST)
    called: list[Any] = []

    def callback() -> None:
        called.append(True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        handles = [current_disconnect().add_callback(callback) for _ in range(3)]
        handles[1].remove()
        server.leave()
        await anyio.sleep_forever()

    await server.run(app)
    assert called == [True, True]


@pytest.mark.parametrize("from_thread", [True, False])
async def test_a_callback_that_comes_late_is_called_at_once(from_thread: bool) -> None:
    server = Server(REQUEST)
    called = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        await ticks(10)
        assert current_disconnect().is_set()
        late = anyio.Event()

        async def callback() -> None:
            late.set()

        if from_thread:
            handle = await anyio.to_thread.run_sync(current_disconnect().add_callback, callback)
        else:
            handle = current_disconnect().add_callback(callback)
        assert not handle.remove()  # too late
        await late.wait()
        called.append(True)

    await server.run(app, cancel=False)
    assert called == [True]


async def test_callbacks_are_not_called_for_a_complete_response() -> None:
    server = Server(REQUEST)
    called: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().add_callback(lambda: called.append(True))
        await send(START)
        await send(LAST)
        server.leave()
        await ticks(20)

    await server.run(app)
    assert called == []


async def test_a_callback_has_a_thread_though_the_app_holds_all_of_anyios() -> None:
    """Sync handlers may hold them all, in queries that only the callback ends."""
    server = Server(REQUEST)
    go_on = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        current_disconnect().add_callback(go_on.set)
        async with anyio.create_task_group() as tasks:
            for _ in range(int(limiter.total_tokens)):
                tasks.start_soon(anyio.to_thread.run_sync, go_on.wait, 5)
            await ticks(10)
            server.leave()

    await server.run(app)
    assert go_on.is_set()


async def test_an_error_of_a_callback_is_logged_and_harms_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(REQUEST)
    called = []

    async def failing() -> None:
        raise ValueError("the callback's")

    async def sound() -> None:
        called.append(True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().add_callback(failing)
        current_disconnect().add_callback(sound)
        server.leave()
        await anyio.sleep_forever()

    assert await server.run(app) is None
    assert called == [True]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_disconnect", logging.ERROR)


async def test_callbacks_that_hang_keep_their_threads_and_more_are_not_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each that is not called is logged; when those that hang return, all threads are free."""
    hang, returned = threading.Event(), threading.Semaphore(0)
    called: list[Any] = []
    abandoned = 0

    def hangs() -> None:
        called.append("hangs")
        hang.wait(HUNG)
        returned.release()

    async def abandon_one(callback: Any, **options: Any) -> None:
        server = Server(REQUEST)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            current_disconnect().add_callback(callback)
            server.leave()
            await anyio.sleep_forever()

        await server.run(app, **options)

    async def abandon(count: int, callback: Any, **options: Any) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(functools.partial(abandon_one, callback, **options))

    try:
        while abandoned - len(caplog.records) < 40:  # some threads may be slow to begin
            await abandon(60, hangs, cleanup_timeout=0.1)
            abandoned += 60
        await abandon(20, hangs, cleanup_timeout=0.1)
        abandoned += 20
    finally:
        hang.set()
    assert abandoned - len(caplog.records) == 40
    for record in caplog.records:
        assert record.levelno == logging.ERROR
        assert "was not called: in 0.1 s none of the 40 threads" in record.getMessage()
        assert "hangs" in record.getMessage()  # which one
        assert not record.exc_info
    for _ in range(40):
        assert await anyio.to_thread.run_sync(returned.acquire, True, HUNG)
    caplog.clear()
    await abandon(41, lambda: called.append("later"))
    assert called == ["hangs"] * 40 + ["later"] * 41
    assert not caplog.records


async def test_a_plain_callback_for_which_there_is_no_time_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(REQUEST)
    called: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().add_callback(lambda: called.append(True))
        server.leave()
        await anyio.sleep_forever()

    await server.run(app, cleanup_timeout=0)
    assert len(called) + len(caplog.records) == 1


async def test_a_burst_of_callbacks_waits_for_threads_and_all_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server(REQUEST)
    together = threading.Barrier(40)  # so that the first are all at work before one returns
    called: list[Any] = []

    def callback() -> None:
        called.append(None)
        if len(called) <= 40:
            together.wait(HUNG)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(100):
            current_disconnect().add_callback(callback)
        server.leave()
        await anyio.sleep_forever()

    await server.run(app)
    assert len(called) == 100
    assert not caplog.records


async def test_a_callback_that_hangs_does_not_hold_the_exchange_for_ever() -> None:
    server = Server(REQUEST)
    hang = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().add_callback(anyio.sleep_forever)
        current_disconnect().add_callback(lambda: hang.wait(5))
        server.leave()
        await anyio.sleep_forever()

    try:
        await server.run(app, cleanup_timeout=0.02)
    finally:
        hang.set()

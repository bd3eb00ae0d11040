"""What a handler can use: the `Disconnect` of its exchange (contract §6)."""

import contextlib
import functools
import gc
import logging
import threading
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from asgiref.sync import sync_to_async

from asgi_disconnect import ClientDisconnected, Disconnect, current_disconnect
from asgi_disconnect._departure.departure import Departure

from ...backends import only_asyncio
from ..scripted import DISCONNECT, HUNG, LAST, REQUEST, START, Server, http_scope, ticks

pytestmark = pytest.mark.anyio


async def test_it_is_found_in_the_scope_in_tasks_and_in_threads() -> None:
    found: list[Disconnect] = []

    def in_thread() -> None:
        found.append(current_disconnect())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def in_task() -> None:
            found.append(current_disconnect())

        found.append(scope["asgi_disconnect"])
        found.append(current_disconnect())
        await anyio.to_thread.run_sync(in_thread)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_task)

    await Server(REQUEST).run(app)
    assert len(found) == 4
    assert isinstance(found[0], Disconnect)
    assert all(disconnect is found[0] for disconnect in found)


@only_asyncio
async def test_it_is_found_through_asgiref() -> None:
    found = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(await sync_to_async(current_disconnect)() is scope["asgi_disconnect"])
        run = sync_to_async(current_disconnect, thread_sensitive=False)
        found.append(await run() is scope["asgi_disconnect"])

    await Server(REQUEST).run(app)
    assert found == [True, True]


async def test_outside_an_exchange_there_is_none() -> None:
    with pytest.raises(LookupError, match=r"no HTTP exchange is guarded.*only="):
        current_disconnect()
    assert current_disconnect(None) is None
    assert current_disconnect("default") == "default"

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    await Server().run(app)
    assert current_disconnect(None) is None


async def test_inside_another_exchange_each_has_its_own() -> None:
    found = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        found.append(current_disconnect())

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        found.append(current_disconnect())
        await Server().run(inner)
        found.append(current_disconnect())

    await Server().run(outer)
    assert found[0] is found[2] is not found[1]


async def test_it_tells_whether_the_client_has_left() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        disconnect = current_disconnect()
        await ticks(10)
        assert not disconnect.is_set()
        disconnect.raise_if_set()
        server.leave()
        await ticks(10)
        assert disconnect.is_set()
        with pytest.raises(ClientDisconnected) as raised:
            disconnect.raise_if_set()
        assert isinstance(raised.value, OSError)
        with pytest.raises(ClientDisconnected):
            await anyio.to_thread.run_sync(disconnect.raise_if_set)
        raise ClientDisconnected

    with pytest.raises(ClientDisconnected):
        await server.run(app, cancel=False)


async def test_after_the_response_the_disconnect_is_none() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(LAST)
        server.leave()
        assert await receive() == DISCONNECT
        assert not current_disconnect().is_set()

    await server.run(app)


@pytest.mark.parametrize("watch_after", [0, 1000])
async def test_waiting_for_it_makes_watching_start_at_once(watch_after: float) -> None:
    server = Server(REQUEST)
    woken = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                await current_disconnect().wait()
                woken.append(True)

            tasks.start_soon(wait)
            tasks.start_soon(wait)
            await ticks(10)
            assert server.reading
            server.leave()
        await current_disconnect().wait()  # again: at once

    await server.run(app, watch_after=watch_after, cancel=False)
    assert woken == [True, True]


async def test_a_sync_view_can_stop_early() -> None:
    server = Server(REQUEST)
    stopped = []
    left = threading.Event()

    def view() -> None:
        disconnect = current_disconnect()
        disconnect.add_callback(left.set)
        assert left.wait(5)
        with contextlib.suppress(ClientDisconnected):
            disconnect.raise_if_set()
            raise AssertionError("not reached")
        stopped.append(True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, view)
            await ticks(10)
            server.leave()

    await server.run(app)
    assert stopped == [True]


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


@pytest.mark.parametrize("in_thread", [True, False])
async def test_an_endpoint_can_opt_out(in_thread: bool) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        if in_thread:
            await anyio.to_thread.run_sync(current_disconnect().ignore)
        else:
            current_disconnect().ignore()
        server.leave()
        await ticks(30)
        assert current_disconnect().is_set()
        await send(START)
        await send(LAST)
        return "returned"

    assert await server.run(app, grace=0) == "returned"
    assert server.types == ["start", "body"]


async def test_what_an_app_raises_that_opted_out_is_its_own() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().ignore()
        server.leave()
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ValueError("the app's")

    with pytest.raises(ValueError, match="the app's"):
        await server.run(app)


@pytest.mark.parametrize("enters_after", range(6))
async def test_a_critical_block_is_finished_before_the_app_is_cancelled(enters_after: int) -> None:
    server = Server(REQUEST)
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if enters_after == 0:
            server.leave()
        for _ in range(enters_after):
            await ticks(1)
        try:
            async with current_disconnect().critical():
                server.leave()
                events.append("begun")
                await ticks(20)
                await anyio.sleep(0.01)
                events.append("finished")
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            events.append("cancelled")
            raise

    assert await server.run(app) is None
    assert events == ["begun", "finished", "cancelled"]


async def test_critical_blocks_nest_and_many_tasks_may_have_one() -> None:
    server = Server(REQUEST)
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def block(length: int) -> None:
            async with current_disconnect().critical(), current_disconnect().critical():
                await ticks(length)
                events.append(f"finished {length}")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(block, 20)
            tasks.start_soon(block, 40)
            await ticks(3)
            server.leave()
            try:
                await anyio.sleep_forever()
            finally:
                events.append("cancelled")

    assert await server.run(app) is None
    assert events == ["finished 20", "finished 40", "cancelled"]


async def test_a_critical_block_of_a_thread_holds_the_cancellation_back() -> None:
    server = Server(REQUEST)
    events: list[str] = []
    entered, go_on = threading.Event(), threading.Event()

    def view() -> None:
        with current_disconnect().critical():
            entered.set()
            assert go_on.wait(5)
            events.append("finished")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, view)
            await anyio.to_thread.run_sync(entered.wait, 5)
            server.leave()
            try:
                await ticks(50)
                events.append("not cancelled yet")
                go_on.set()
                await anyio.sleep_forever()
            finally:
                events.append("cancelled")

    assert await server.run(app) is None
    assert events == ["not cancelled yet", "finished", "cancelled"]


async def test_a_response_completed_in_a_critical_block_is_not_cancelled_after_it() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        async with current_disconnect().critical():
            server.leave()
            await ticks(20)
            await send(START)
            await send(LAST)
        await ticks(20)
        return "returned"

    assert await server.run(app) == "returned"


@pytest.mark.parametrize("exit_by", [ValueError, None])
async def test_an_error_leaves_a_critical_block(exit_by: type[Exception] | None) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(ValueError):
            async with current_disconnect().critical():
                if exit_by:
                    raise exit_by
        server.leave()
        await anyio.sleep_forever()

    assert await server.run(app) is None


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("left", [True, False])
async def test_what_outlives_the_exchange_knows_how_it_ended(left: bool, asked: bool) -> None:
    """A thread that nobody waits for, or a task that the app has left behind."""
    server, kept, called = Server(REQUEST), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        disconnect = current_disconnect()
        kept.append(disconnect)
        if asked:
            disconnect.add_callback(lambda: called.append("early"))
        if left:
            server.leave()
            await anyio.sleep_forever()

    await server.run(app)
    (disconnect,) = kept
    assert called == (["early"] if left and asked else [])
    assert disconnect.is_set() is left
    with pytest.raises(ClientDisconnected) if left else contextlib.nullcontext():
        await anyio.to_thread.run_sync(disconnect.raise_if_set)
    with anyio.move_on_after(HUNG if left else 0) as patience:
        await disconnect.wait()
    assert patience.cancelled_caught is not left
    handle = disconnect.add_callback(lambda: called.append("late"))
    assert handle.remove() is not left
    disconnect.ignore()
    async with disconnect.critical():
        await ticks(3)
    with disconnect.critical():
        assert "late" not in called


async def test_nothing_is_made_for_an_exchange_that_asks_for_nothing() -> None:
    gc.collect()
    before = sum(type(thing) is Departure for thing in gc.get_objects())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert not current_disconnect().is_set()
        await send(START)
        await send(LAST)
        assert sum(type(thing) is Departure for thing in gc.get_objects()) == before

    await Server(REQUEST).run(app, http_scope())

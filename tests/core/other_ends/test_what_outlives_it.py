"""What outlives its exchange reads on without us, and knows how it ended (contract §5)."""

import contextlib
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import ClientDisconnected, current_disconnect

from ..receive.refusals import END, FOUR
from ..scripted import DISCONNECT, HUNG, LAST, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


async def test_what_outlives_the_exchange_talks_to_the_server_itself() -> None:
    """A task that the app left behind is not left waiting for a watcher that has ended."""
    server = Server(REQUEST)
    got = []
    async with anyio.create_task_group() as outer:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await ticks(10)
            assert server.reading

            async def read() -> None:
                got.append(await receive())

            outer.start_soon(read)
            await ticks(5)

        await server.run(app)
        server.leave()
    assert got == [DISCONNECT]


@pytest.mark.parametrize("ending", [None, *range(4)])
async def test_what_outlives_an_exchange_whose_watcher_never_began_is_not_left_waiting(
    ending: int | None,
) -> None:
    """It ends so many ticks after its first message; or in its first tick, watching being due."""
    server = Server()
    got = []
    async with anyio.create_task_group() as outer:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def give() -> None:
                await ticks(10)
                server.give(REQUEST)

            if ending is not None:
                outer.start_soon(give)
                await receive()  # watching is due when this returns
                await ticks(ending)

            async def read() -> None:
                await ticks(10)
                got.append(await receive())

            outer.start_soon(read)

        with anyio.fail_after(HUNG):
            await server.run(app)
            server.leave()
            while not got:
                await ticks(1)
    assert got == [DISCONNECT]


@pytest.mark.parametrize("waits_already", [True, False])
@pytest.mark.parametrize("limit", [{"max_body_size": 10}, {"body_timeout": 1000}, {}])
async def test_a_task_that_the_app_leaves_behind_reads_on_without_us(
    limit: Any, waits_already: bool
) -> None:
    server, got = Server(FOUR), []
    receives: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        receives.append(receive)
        if waits_already:
            await ticks(5)
        await send(START)
        await send(LAST)

    async with anyio.create_task_group() as tasks:

        async def left_behind() -> None:
            while not receives:
                await ticks(1)
            if not waits_already:
                await ended.wait()
            got.append(await receives[0]())
            got.append(await receives[0]())

        ended = anyio.Event()
        tasks.start_soon(left_behind)
        await server.run(app, **limit)
        ended.set()
        await ticks(5)
        server.give(END)
        server.leave()
        tasks.cancel_scope.deadline = anyio.current_time() + HUNG
    assert [message["type"] for message in got] == ["http.request", "http.disconnect"]


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

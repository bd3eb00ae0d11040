"""`is_set`, `wait`, `raise_if_set`: a handler asks whether its client has left (contract §6)."""

import contextlib
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import ClientDisconnected, current_disconnect

from ..scripted import DISCONNECT, LAST, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


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

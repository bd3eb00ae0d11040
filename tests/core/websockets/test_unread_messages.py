"""What is read ahead of the app: nothing before `connect`, all in order, within a bound."""

from typing import Any

import anyio
import pytest

from ..scripted import HUNG, Message, ticks
from .connections import ACCEPT, CLOSE, CONNECT, GONE, PUSH, WebSocketServer, text

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("watch_after", [0, 0.001])
async def test_nothing_is_read_before_the_app_has_read_connect(watch_after: float) -> None:
    server, calls = WebSocketServer(text("a")), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(0.02)
        await ticks(5)
        calls.append(server.calls)
        assert await receive() is CONNECT

    await server.run(app, watch_after=watch_after)
    assert calls == [0]


async def test_nothing_is_read_where_the_apps_first_call_was_cut_short() -> None:
    server = WebSocketServer()
    server.messages.clear()
    calls: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with anyio.move_on_after(0.02):
            await receive()
        await ticks(5)
        calls.append(server.calls)
        server.give(CONNECT, text("a"))
        assert await receive() is CONNECT
        assert await receive() == text("a")

    await server.run(app)
    assert calls == [1]


async def test_every_message_comes_in_order_as_the_very_object_and_then_the_disconnect() -> None:
    given: list[Message] = [
        text("a"),
        {"type": "websocket.receive", "bytes": b"b"},
        {"type": "websocket.unheard_of", "key": object()},
        text(""),
    ]
    server, got = WebSocketServer(*given, GONE), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() is CONNECT
        await send(ACCEPT)
        await ticks(20)  # all of it is read ahead
        while not got or got[-1] is not GONE:
            got.append(await receive())

    await server.run(app, grace=1)
    assert all(one is other for one, other in zip(got, [*given, GONE], strict=True))


@pytest.mark.parametrize("watch_after", [0, 1000])
async def test_the_disconnect_comes_again_and_again_without_a_checkpoint(
    watch_after: float,
) -> None:
    server, got = WebSocketServer(GONE), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        got.append(await receive())
        with anyio.CancelScope() as scope_of_its_own:
            scope_of_its_own.cancel()
            got.extend([await receive(), await receive()])

    await server.run(app, watch_after=watch_after)
    assert got == [GONE] * 3


async def test_reading_ahead_stops_one_message_beyond_the_bound_and_goes_on_when_read() -> None:
    flood = [text("x" * 1000) for _ in range(100)]
    server = WebSocketServer(*flood)
    read: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(300)
        read.append(len(flood) - len(server.messages))
        for message in flood:
            assert await receive() is message
        server.leave()
        assert await receive() is GONE

    await server.run(app, max_memory=10_000)
    # Each costs 1,512 bytes: six fit, and one comes beyond.
    assert read == [7]


async def test_one_message_is_read_where_there_is_room_for_none() -> None:
    server, read = WebSocketServer(text("a"), text("b"), GONE), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(20)
        read.append(len(server.messages))
        assert await receive() == text("a")
        assert await receive() == text("b")
        assert await receive() is GONE

    await server.run(app, max_memory=0)
    assert read == [2]


async def test_a_departure_behind_a_full_buffer_is_seen_once_the_app_has_read() -> None:
    server = WebSocketServer(text("a"), text("b"), GONE)
    set_: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(20)
        set_.append(scope["asgi_disconnect"].is_set())
        await receive()
        await receive()
        await scope["asgi_disconnect"].wait()
        set_.append(scope["asgi_disconnect"].is_set())
        await receive()

    await server.run(app, max_memory=0, grace=HUNG)
    assert set_ == [False, True]


async def test_a_pause_ends_with_the_app() -> None:
    server = WebSocketServer(text("a"), text("b"))

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        await ticks(20)
        return "done"

    assert await server.run(app, max_memory=0) == "done"
    assert len(server.messages) == 1


async def test_several_calls_of_receive_get_a_message_each_and_all_the_disconnect() -> None:
    server, got = WebSocketServer(), []

    async def listen(receive: Any) -> None:
        got.append(await receive())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(listen, receive)
            await ticks(5)
            server.give(text("a"))
            await ticks(5)
            server.leave()

    await server.run(app, grace=HUNG)
    assert got == [text("a"), GONE, GONE]


async def test_nothing_is_read_ahead_once_the_app_has_closed() -> None:
    server, calls = WebSocketServer(text("a")), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(PUSH)
        await send(CLOSE)
        await anyio.sleep(0.01)
        calls.append(server.calls)

    await server.run(app, watch_after=0.005)
    assert calls == [1]

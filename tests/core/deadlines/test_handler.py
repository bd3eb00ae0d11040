"""What a handler hears of its deadline (contract §6)."""

import math
import threading
import time
from typing import Any

import anyio
import pytest

from asgi_disconnect import ClientDisconnected, Disconnect, current_disconnect

from ..scripted import LAST, REQUEST, START, Server, http_scope, piece
from .exchanges import SOON, run

pytestmark = pytest.mark.anyio


async def test_a_handler_hears_of_it_in_every_way() -> None:
    server, calls = Server(REQUEST), []
    called = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        disconnect = current_disconnect()
        assert disconnect.cause is None
        # A machine that is busy with other things may hold the app up for so long.
        in_time = disconnect.remaining() > 0
        assert in_time or time.monotonic() - began >= SOON
        assert disconnect.remaining() <= SOON

        def callback() -> None:
            calls.append(disconnect.cause)

        async def async_callback() -> None:
            calls.append(disconnect.cause)
            called.set()

        disconnect.add_callback(callback)
        disconnect.add_callback(async_callback)
        async with disconnect.critical():
            await disconnect.wait()
            assert disconnect.is_set()
            assert disconnect.cause == "deadline"
            assert disconnect.remaining() == 0
            with pytest.raises(ClientDisconnected, match="deadline"):
                disconnect.raise_if_set()
            await called.wait()
        await anyio.sleep_forever()

    began = time.monotonic()
    await run(server, app)
    assert calls == ["deadline", "deadline"]


async def test_what_is_said_when_it_is_raised_follows_the_cause() -> None:
    said = []

    def app_that(*, leaves: Server | None = None) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if leaves is not None:
                leaves.leave()
            async with current_disconnect().critical():
                await current_disconnect().wait()
                with pytest.raises(OSError, match=r".") as raised:
                    current_disconnect().raise_if_set()
                said.append((current_disconnect().cause, str(raised.value)))

        return app

    server = Server(REQUEST)
    await server.run(app_that(leaves=server))
    await Server(REQUEST).run(app_that(), deadline=SOON)
    await Server(piece(b"too large")).run(app_that(), max_body_size=1)
    await Server().run(app_that(), body_timeout=SOON)
    assert [cause for cause, _ in said] == [
        *("disconnect", "deadline", "body_too_large", "body_timeout"),
    ]
    texts = [text for _, text in said]
    assert len(set(texts)) == 4
    assert texts[0] == "the client left before its response was complete"


async def test_remaining_counts_down_in_any_thread() -> None:
    server, found = Server(REQUEST), []

    def look(disconnect: Disconnect) -> None:
        found.append(disconnect.remaining())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        disconnect = current_disconnect()
        look(disconnect)
        await anyio.sleep(0.01)
        await anyio.to_thread.run_sync(look, disconnect)
        thread = threading.Thread(target=look, args=[disconnect])
        thread.start()
        thread.join()
        await send(START)
        await send(LAST)

    await run(server, app, deadline=100)
    assert 90 < found[2] <= found[1] < found[0] <= 100
    assert found[0] - found[1] >= 0.005


async def test_when_the_exchange_is_over_it_can_still_be_asked() -> None:
    kept = list[Disconnect]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(current_disconnect())
        if scope["path"] == "/ignores":
            current_disconnect().ignore()
        await anyio.sleep(0 if scope["path"] != "/late" else 2 * SOON)

    for path in ("/", "/ignores", "/late"):
        await run(Server(REQUEST), app, http_scope(path=path))
    await anyio.sleep(2 * SOON)
    assert [one.remaining() for one in kept] == [0, math.inf, 0]
    assert [one.cause for one in kept] == [None, None, "deadline"]
    await Server(REQUEST).run(app, http_scope())
    assert kept[-1].remaining() == math.inf

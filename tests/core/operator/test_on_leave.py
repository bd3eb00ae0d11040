"""A hook's `on_leave` and `on_stop`: between them, an app runs on without its client."""

import contextlib
import logging
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from ..scripted import REQUEST, START, Server, http_scope, ticks
from ..websockets.connections import ACCEPT, WebSocketServer, websocket_scope

pytestmark = pytest.mark.anyio


class Hook:
    """Keeps a diary, of the app as well."""

    def __init__(self) -> None:
        self.diary: list[str] = []

    def __call__(self, report: Any) -> None:
        self.diary.append(report.outcome)

    def on_leave(self, scope: Any) -> None:
        self.diary.append(f"leaves {scope['path']}")

    def on_stop(self, scope: Any) -> None:
        self.diary.append(f"stops {scope['path']}")

    def on_end(self, scope: Any, seconds: float, complete: bool) -> None:
        self.diary.append("ends")


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body"})


async def sleeps(scope: Any, receive: Any, send: Any) -> None:
    await anyio.sleep_forever()


async def test_they_are_called_when_the_client_leaves_and_when_the_app_has_ended() -> None:
    hook = Hook()
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            server.leave()
            await anyio.sleep_forever()
        finally:
            hook.diary.append("cleans up")

    await server.run(app, http_scope(path="/x"), on_disconnect=[print, hook])
    assert hook.diary == ["leaves /x", "cleans up", "stops /x", "ends", "cancelled"]


async def test_an_app_that_listens_is_told_after_the_hook() -> None:
    hook, server = Hook(), Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        assert (await receive())["type"] == "http.disconnect"
        hook.diary.append("told")

    await server.run(app, http_scope(path="/x"), on_disconnect=hook)
    assert sorted(hook.diary[:2]) == ["leaves /x", "told"]
    assert hook.diary[2:] == ["stops /x", "ends", "told"]


async def test_of_a_complete_exchange_they_do_not_hear() -> None:
    hook, server = Hook(), Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answers(scope, receive, send)
        server.leave()
        await ticks(10)

    await server.run(app, http_scope(path="/x"), on_disconnect=hook)
    assert hook.diary == ["ends"]


@pytest.mark.parametrize("error", [ValueError("the app's"), KeyboardInterrupt()], ids=repr)
async def test_an_app_that_raises_has_stopped(error: BaseException) -> None:
    hook, server = Hook(), Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await scope["asgi_disconnect"].wait()
        raise error

    with contextlib.suppress(ValueError, KeyboardInterrupt):
        await server.run(app, http_scope(path="/x"), on_disconnect=hook)
    assert [line for line in hook.diary if "/x" in line] == ["leaves /x", "stops /x"]


async def test_a_caller_that_is_cancelled_leaves_none_running() -> None:
    hook, server = Hook(), Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await scope["asgi_disconnect"].wait()
        caller.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as caller:
        await server.run(app, http_scope(path="/x"), on_disconnect=hook)
    assert [line for line in hook.diary if "/x" in line] == ["leaves /x", "stops /x"]


async def test_a_deadline_that_passes_counts_as_well() -> None:
    hook = Hook()
    await Server(REQUEST).run(sleeps, http_scope(path="/x"), on_disconnect=hook, deadline=0.01)
    assert hook.diary == ["leaves /x", "stops /x", "ends", "cancelled"]


async def test_a_websocket_counts_as_well() -> None:
    hook, server = Hook(), WebSocketServer()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        server.leave()
        await anyio.sleep_forever()

    await server.run(app, websocket_scope(path="/x"), on_disconnect=hook)
    assert hook.diary == ["leaves /x", "stops /x", "ends", "cancelled"]


@pytest.mark.parametrize("name", ["on_leave", "on_stop"])
async def test_one_that_raises_is_logged_and_harms_nothing(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Hook):
        pass

    def raises(self: Any, scope: Any) -> None:
        raise ValueError("the hook's")

    setattr(Faulty, name, raises)
    faulty, sound, server = Faulty(), Hook(), Server(REQUEST)
    server.leave()
    with caplog.at_level(logging.ERROR, "asgi_disconnect"):
        await server.run(sleeps, http_scope(path="/x"), on_disconnect=[faulty, sound])
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{name}() of an on_disconnect= hook raised: ")
    assert sound.diary == ["leaves /x", "stops /x", "ends", "cancelled"]


@pytest.mark.parametrize("name", ["on_leave", "on_stop", "on_end"])
def test_an_async_one_is_refused(name: str) -> None:
    async def method(*arguments: Any) -> None: ...

    hook: Any = Hook()
    setattr(hook, name, method)
    with pytest.raises(TypeError, match=rf"{name}\(\) of an on_disconnect= hook must be sync"):
        DisconnectMiddleware(sleeps, on_disconnect=hook)

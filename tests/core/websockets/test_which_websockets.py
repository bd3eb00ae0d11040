"""WebSockets are guarded where `websocket=True` asks for it; the others pass untouched."""

from typing import Any

import anyio
import pytest

from asgi_disconnect import Disconnect, DisconnectMiddleware, current_disconnect

from .connections import CLOSE, CONNECT, WebSocketServer, websocket_scope

pytestmark = pytest.mark.anyio

OPTIONS: list[dict[str, Any]] = [{}, {"websocket": False}]


@pytest.mark.parametrize("options", OPTIONS, ids=["default", "off"])
async def test_one_that_is_not_guarded_gets_the_servers_very_own(options: dict[str, Any]) -> None:
    seen: list[Any] = []

    async def app(*arguments: Any) -> str:
        seen.extend(arguments)
        return "done"

    server, scope = WebSocketServer(), websocket_scope()
    result = await DisconnectMiddleware(app, **options)(scope, server.receive, server.send)
    assert result == "done"
    assert seen[0] is scope
    assert seen[1:] == [server.receive, server.send]


async def test_only_chooses_by_the_scope() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((receive, "asgi_disconnect" in scope))

    server = WebSocketServer()
    middleware = DisconnectMiddleware(
        app, websocket=True, only=lambda scope: scope["type"] == "http"
    )
    await middleware(websocket_scope(), server.receive, server.send)
    assert seen == [(server.receive, False)]


async def test_one_inside_another_instance_is_passed_straight_on() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(receive)

    async def between(scope: Any, receive: Any, send: Any) -> None:
        seen.append(receive)
        await DisconnectMiddleware(app, websocket=True)(scope, receive, send)

    await WebSocketServer().run(between)
    assert seen[0] == seen[1]


async def test_a_handler_finds_its_disconnect() -> None:
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.extend((current_disconnect(), scope["asgi_disconnect"]))
        assert await receive() is CONNECT

    await WebSocketServer().run(app)
    assert isinstance(found[0], Disconnect)
    assert found[0] is found[1]


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_another_value_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="websocket must be True or False"):
        DisconnectMiddleware(lambda scope, receive, send: None, websocket=value)


async def test_what_the_app_answers_reaches_the_server_unchanged() -> None:
    nonsense: list[Any] = [{"type": "websocket.nonsense"}, {}, CLOSE, {"type": "websocket.send"}]
    server = WebSocketServer()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in nonsense:
            await send(message)

    await server.run(app)
    assert len(server.sent) == len(nonsense)
    assert all(sent is given for sent, given in zip(server.sent, nonsense, strict=True))


async def test_an_error_of_the_servers_receive_is_the_apps_to_see() -> None:
    error = RuntimeError("of the server's")

    class Failing(WebSocketServer):
        async def receive(self) -> Any:
            if self.messages:
                return await super().receive()
            raise error

    caught: list[Exception] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await anyio.sleep(0.02)  # the watcher reads meanwhile
        try:
            await receive()
        except RuntimeError as raised:
            caught.append(raised)

    await Failing().run(app)
    assert caught == [error]

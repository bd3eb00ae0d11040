"""Exchanges whose client leaves, for the hooks to be told of."""

from collections.abc import Callable
from typing import Any

import anyio

from asgi_disconnect import DisconnectMiddleware

from ..core.scripted import HUNG, MORE, REQUEST, START, Server, http_scope
from ..core.websockets.connections import ACCEPT, PUSH, WebSocketServer, text, websocket_scope

Hook = Callable[[Any], Any]


async def works(scope: Any, receive: Any, send: Any) -> None:
    """An app that works until it is cancelled."""
    await receive()
    await anyio.sleep_forever()


async def streams(scope: Any, receive: Any, send: Any) -> None:
    """An app that is cancelled in the middle of its response."""
    await receive()
    await send({**START, "status": 202})
    await send(MORE)
    await anyio.sleep_forever()


def fails(error: BaseException) -> Any:
    """An app whose cleanup raises `error` when it is cancelled in the middle of its response."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({**START, "status": 202})
        try:
            await anyio.sleep_forever()
        finally:
            raise error

    return app


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """An app that responds at once."""
    await send(START)
    await send({"type": "http.response.body"})


async def serve(
    app: Any, hook: Hook, *, leaves: bool = True, deadline: float | None = None, **scope: Any
) -> None:
    """One exchange with `app`, whose client is gone when it has sent its request."""
    server = Server(REQUEST)
    if leaves:
        server.leave()
    await server.run(app, http_scope(**scope), on_disconnect=hook, deadline=deadline)


async def serve_around(around: Callable[[Any], Any], app: Any, hook: Hook, **scope: Any) -> None:
    """The same, with another middleware around ours."""
    server = Server(REQUEST)
    server.leave()
    wrapped = around(DisconnectMiddleware(app, watch_after=0, on_disconnect=hook))
    with anyio.fail_after(HUNG):
        await wrapped(http_scope(**scope), server.receive, server.send)


async def pushes(scope: Any, receive: Any, send: Any) -> None:
    """An app of a WebSocket that pushes four bytes, and is cancelled."""
    await receive()
    await send(ACCEPT)
    await send(PUSH)
    await anyio.sleep_forever()


async def serve_websocket(app: Any, hook: Hook, **scope: Any) -> None:
    """One WebSocket of `app`, whose client sends five bytes and is gone, with the code 1001."""
    server = WebSocketServer(text("hello"))
    server.leave()
    await server.run(app, websocket_scope(**scope), on_disconnect=hook)


async def serve_websocket_around(
    around: Callable[[Any], Any], app: Any, hook: Hook, **scope: Any
) -> None:
    """The same, with another middleware around ours."""
    server = WebSocketServer(text("hello"))
    server.leave()
    options: Any = {"watch_after": 0, "grace": 0, "on_disconnect": hook}
    wrapped = around(DisconnectMiddleware(app, websocket=True, **options))
    with anyio.fail_after(HUNG):
        await wrapped(websocket_scope(**scope), server.receive, server.send)

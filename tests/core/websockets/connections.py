"""A WebSocket's messages, and a server that plays its side of the connection."""

from collections.abc import Awaitable, Callable
from typing import Any

from ..scripted import Message, Server

CONNECT: Message = {"type": "websocket.connect"}
ACCEPT: Message = {"type": "websocket.accept"}
CLOSE: Message = {"type": "websocket.close", "code": 1000}
PUSH: Message = {"type": "websocket.send", "text": "tick"}
GONE: Message = {"type": "websocket.disconnect", "code": 1001}


def text(value: str) -> Message:
    return {"type": "websocket.receive", "text": value}


def websocket_scope(**changes: Any) -> dict[str, Any]:
    return {"type": "websocket", "path": "/", "headers": [], "subprotocols": [], **changes}


class WebSocketServer(Server):
    """Gives `websocket.connect`, and then what it is given."""

    def __init__(self, *messages: Message, repeats: bool = False) -> None:
        super().__init__(CONNECT, *messages, repeats=repeats)

    def leave(self) -> None:
        self.give(GONE)

    async def run(
        self,
        app: Callable[..., Awaitable[Any]],
        scope: Message | None = None,
        **options: Any,
    ) -> Any:
        """Run `app` in the middleware, with `websocket=True` unless told otherwise."""
        options = {"websocket": True, "grace": 0, **options}
        return await super().run(app, scope or websocket_scope(), **options)

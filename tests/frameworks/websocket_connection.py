"""A server that does what the test tells it, for one WebSocket.

It answers as uvicorn does, whose `send` raises once the client has gone; or as hypercorn does,
whose `send` does nothing then, and who says "disconnect" once and answers no further call.
"""

from typing import Any

from .connection import ONCE, REPEATS, Connection

CODE = 4001
"""The code that the client closes with."""


class WebSocketConnection(Connection):
    """One WebSocket: `scope`, `receive` and `send` for the app, the rest for the test."""

    def __init__(self, path: str, *, manner: str = REPEATS, subprotocols: list[str] | None = None):
        super().__init__("GET", path, manner=manner)
        del self.scope["method"]
        self.scope |= {"type": "websocket", "scheme": "ws", "subprotocols": subprotocols or []}
        self._incoming = [{"type": "websocket.connect"}]

    # The app's side

    async def receive(self) -> dict[str, Any]:
        self.receiving += 1
        self.most_receiving = max(self.most_receiving, self.receiving)
        self.changed()
        try:
            await self.until(
                lambda: self._incoming or (self.gone and not (self._said and self.manner == ONCE))
            )
            if self._incoming:
                return self._incoming.pop(0)
            self._said = True
            return {"type": "websocket.disconnect", "code": CODE, "reason": ""}
        finally:
            self.receiving -= 1
            self.changed()

    async def send(self, message: dict[str, Any]) -> None:
        (self.dropped if self.gone else self.sent).append(message)
        self.changed()
        if self.gone and self.manner == REPEATS:
            raise ConnectionResetError

    # The client's side

    def say(self, text: str) -> None:
        """Send a text."""
        self._incoming.append({"type": "websocket.receive", "text": text})
        self.changed()

    @property
    def accepted(self) -> bool:
        return any(message["type"] == "websocket.accept" for message in self.sent)

    @property
    def closed(self) -> bool:
        return any(message["type"] == "websocket.close" for message in self.sent)

    @property
    def texts(self) -> list[str]:
        """What the app has pushed."""
        return [
            message.get("text") or bytes(message["bytes"]).decode()
            for message in self.sent
            if message["type"] == "websocket.send"
        ]

    async def has_been_pushed(self, text: str) -> None:
        await self.soon(lambda: text in self.texts, f"{text!r} pushed")

"""The server's side of one WebSocket: `receive` and `send` as a server would offer them.

It tracks where the connection stands as the middleware does (contract §9).
"""

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterator

from .._exchange.connection import CLOSED, CONNECTING, TABLE, Connection
from .._exchange.response import next_state
from .._report import Reported
from .._types import Message, Scope
from ._result import WebSocketResult
from ._server import PlayedServer
from ._websocket_behaviours import WebSocketBehaviour


class PlayedWebSocketServer(PlayedServer):
    """Serves one WebSocket."""

    def __init__(self, behaviour: WebSocketBehaviour, scope: Scope, grace: float | None) -> None:
        super().__init__(scope, behaviour.cancels_after)
        self.behaviour = behaviour
        self.grace: float | None = None
        """The middleware's `grace`, if there is one around the app."""
        self.pushed: list[str | bytes] = []
        """The text and bytes that the app sent."""
        self.accept: Message | None = None
        """The app's `websocket.accept`."""
        self.status: int | None = None
        """The status of the response that refuses the handshake."""
        self.code: int | None = None
        """The connection's close code."""
        self._grace_of_the_test = grace
        self._connection: Connection = CONNECTING
        self._connect: Message | None = {"type": "websocket.connect"}
        self._unread: deque[Message] = deque()
        self._disconnects: Iterator[Message] = iter(())
        self._next_disconnect: Message | None = None
        self._said = False

    # The app's side

    @property
    def has_message(self) -> bool:
        """`receive()` has something to give."""
        return self._connect is not None or self._has_data or self._next_disconnect is not None

    @property
    def _has_data(self) -> bool:
        return bool(self._unread) and self.accept is not None

    def take_message(self) -> Message:
        """What `receive()` gives next."""
        if self._connect is not None:
            connect, self._connect = self._connect, None
            return connect
        if self._has_data:
            return self._unread.popleft()
        disconnect = self._next_disconnect
        assert disconnect is not None
        self._next_disconnect = next(self._disconnects, None)
        self._said = True
        self.told = self.told or self.premature
        return disconnect

    async def handle(self, message: Message) -> None:
        """Do what the server does with what the app sends."""
        kind = message.get("type")
        if self.complete:
            if self.behaviour.send_after_close is not None:
                raise self.behaviour.send_after_close(f"the app sent {kind!r} after it had closed")
            return
        if self.gone:
            if self.behaviour.send_raises_when_gone:
                self.told = self.told or self.premature
                raise OSError("the client has left")
            return
        if kind == "websocket.send" and self.accept is None:
            raise RuntimeError("the app sent 'websocket.send' before 'websocket.accept'")
        self._connection = next_state(TABLE, self._connection, message)
        self.sent.append(message)
        if kind == "websocket.accept":
            self.accept = message
        elif kind == "websocket.send":
            text: str | None = message.get("text")
            self.pushed.append(bytes(message["bytes"]) if text is None else text)
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
        elif kind == "websocket.close":
            self._close(message)
        if self.complete:
            self._say_end()
        self._changed()

    def _close(self, message: Message) -> None:
        if self.accept is None:
            self.status = 403
        else:
            self.code = message.get("code", 1000)

    def _say_end(self) -> None:
        code = self.behaviour.refused_code
        if self.code is not None:
            own = self.behaviour.own_close_code
            code = self.code if own is None else own
        self._say({"type": "websocket.disconnect", "code": code}, 1)

    def _say(self, disconnect: Message, times: float) -> None:
        """Have `receive()` say `disconnect`, and after that how the connection was lost."""
        again: Message = {"type": "websocket.disconnect", "code": self.behaviour.lost_code}
        repeated = (dict(again) for _ in itertools.count())
        more = repeated if times > 2 else itertools.islice(repeated, max(0, int(times) - 1))
        self._next_disconnect, self._disconnects = disconnect, iter(more)

    # The client's side

    def deliver(self, data: str | bytes) -> None:
        """Receive a message from the client."""
        key, other = ("text", "bytes") if isinstance(data, str) else ("bytes", "text")
        message: Message = {"type": "websocket.receive", key: data}
        if self.behaviour.has_both_keys:
            message[other] = None
        self._unread.append(message)
        self._changed()

    def close(self, code: int, reason: str) -> None:
        """The client closes the connection with a close frame, if it has one."""
        behaviour = self.behaviour
        if self.accept is None:
            self.leave()
            return
        told = code if behaviour.close_code is None else behaviour.close_code
        disconnect: Message = {"type": "websocket.disconnect", "code": told}
        if behaviour.gives_reason:
            disconnect["reason"] = reason
        self._lose(disconnect, behaviour.times_told_of_close)

    def leave(self) -> None:
        """The client is gone, without a close frame."""
        behaviour = self.behaviour
        disconnect: Message = {"type": "websocket.disconnect", "code": behaviour.lost_code}
        if self.accept is None and not behaviour.tells_in_handshake:
            super().leave()
        else:
            self._lose(disconnect, behaviour.times_told_of_loss)

    def _lose(self, disconnect: Message, times: float) -> None:
        if not (self.gone or self.complete):
            self.code = disconnect["code"]
            self._say(disconnect, times)
        super().leave()

    @property
    def complete(self) -> bool:
        """The app has closed the connection, or denied it."""
        return self._connection is CLOSED

    @property
    def succeeded(self) -> bool:
        """An app whose client stayed has closed the connection, denied it, or returned."""
        returned = self.exception is None and not self.cancelled and self.accept is not None
        return self.complete or returned

    @property
    def waits_for_client(self) -> bool:
        """Somebody waits in `receive()`, and there is nothing left to get."""
        return self.receiving > 0 and not self.has_message

    @property
    def silent(self) -> bool:
        """It has said "disconnect", and will not say it again."""
        return self._said and self._next_disconnect is None

    # Between them

    def note_exchange(self, exchange: Reported) -> None:
        """Note that a `DisconnectMiddleware` guards the app, and give it the test's `grace`."""
        super().note_exchange(exchange)
        if self._grace_of_the_test is not None:
            exchange.options = dataclasses.replace(exchange.options, grace=self._grace_of_the_test)
        self.grace = exchange.options.grace

    @property
    def result(self) -> WebSocketResult:
        """What became of the app; it has ended."""
        return WebSocketResult(
            outcome=self.outcome,
            accepted=self.accept is not None,
            status=self.status,
            code=self.code,
            sent=[*self.pushed],
            seconds=self.seconds,
            exception=self.exception,
            report=self.report,
        )

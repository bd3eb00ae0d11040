"""The server's side of one HTTP exchange: `receive` and `send` as a server would offer them.

It tracks where the response stands as the middleware does (contract §3).
"""

from collections import deque
from collections.abc import Iterable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from .._exchange.response import COMPLETE, NOT_STARTED, Response, advance
from .._types import App, Message, Scope
from ._behaviours import Behaviour
from ._result import Result
from ._server import PlayedServer


class PlayedHTTPServer(PlayedServer):
    """Serves one request."""

    def __init__(self, behaviour: Behaviour, scope: Scope) -> None:
        super().__init__(scope, behaviour.cancels_after)
        self.behaviour = behaviour
        self.bytes_received: int = 0
        self.bytes_sent: int = 0
        self.body_ended: bool = False
        self.reading: bool = True
        """The client takes what is sent to it."""
        self.send_error: OSError | None = None
        self._unread: deque[Message] = deque()
        self._said = False
        self._loses_next = False
        self._response: Response = NOT_STARTED

    # The app's side

    @property
    def has_message(self) -> bool:
        """`receive()` has something to give."""
        return self._has_piece or self._has_disconnect

    def take_message(self) -> Message:
        """What `receive()` gives next."""
        if self._has_piece:
            message = self._unread.popleft()
            self.bytes_received += len(message["body"])
            return message
        self._said = True
        self.told = self.told or self.premature
        return {"type": "http.disconnect"}

    def note_cancelled_receive(self) -> None:
        """A call of `receive()` has been cancelled."""
        self._loses_next = self.behaviour.loses_cancelled_receive and not self.body_ended

    @property
    def _over(self) -> bool:
        return self.gone or (self.complete and self.behaviour.tells_of_completion)

    @property
    def _has_piece(self) -> bool:
        return bool(self._unread) and not (self._over and self.behaviour.drops_unread_body)

    @property
    def _has_disconnect(self) -> bool:
        return self._over and (self.behaviour.repeats_disconnect or not self._said)

    async def handle(self, message: Message) -> None:
        """Do what the server does with what the app sends."""
        if self.send_error is not None:
            self.leave()
            self.told = self.told or self.premature
            raise self.send_error
        if self.gone:
            if self.behaviour.send_waits_when_gone:
                await anyio.sleep_forever()
            return
        kind = message.get("type")
        if kind == "http.response.body" and self._response is NOT_STARTED:
            raise RuntimeError("the app sent 'http.response.body' before 'http.response.start'")
        if self.complete:
            return
        self._response = advance(self._response, message)
        self.sent.append(message)
        if kind == "http.response.body":
            self.bytes_sent += len(message.get("body", b""))
        self._changed()
        if self.complete and not self.behaviour.repeats_disconnect:
            await checkpoint()  # hypercorn may say "disconnect" before the last send() returns
        buffer = self.behaviour.send_buffer
        if buffer is not None and self.bytes_sent > buffer:
            await self.until(lambda: self.reading or self.gone)

    # The client's side

    def upload(self, body: bytes, *, more_body: bool) -> None:
        """Receive a piece of the request's body from the client."""
        if self._loses_next:
            self._loses_next = False
            self.body_ended = not more_body
            return
        size = self.behaviour.piece
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        if not more_body and (self.behaviour.ends_body_apart or not pieces):
            pieces.append(b"")
        for number, piece in enumerate(pieces, 1):
            more = more_body or number < len(pieces)
            self._unread.append({"type": "http.request", "body": piece, "more_body": more})
        self.body_ended = not more_body
        self._changed()

    def set_reading(self, reading: bool) -> None:
        """Make the client read, or stop reading."""
        self.reading = reading
        self._changed()

    @property
    def started(self) -> bool:
        """The response has started."""
        return self._response is not NOT_STARTED

    @property
    def complete(self) -> bool:
        """The response is complete."""
        return self._response is COMPLETE

    @property
    def succeeded(self) -> bool:
        """An app whose client stayed has responded."""
        return self.complete

    @property
    def waits_for_client(self) -> bool:
        """Somebody waits in `receive()`, and there is nothing left to get."""
        return self.receiving > 0 and not self._unread

    @property
    def silent(self) -> bool:
        """It has said "disconnect", and will not say it again."""
        return self._said and not self.behaviour.repeats_disconnect

    @property
    def start(self) -> Message:
        """The response's start, or nothing."""
        for each in self.sent:
            if each["type"] == "http.response.start":
                return each
        return {}

    @property
    def body(self) -> bytes:
        """The part of the response's body that the client has got."""
        bodies: Iterable[Any] = (
            each.get("body", b"") for each in self.sent if each["type"] == "http.response.body"
        )
        return b"".join(map(bytes, bodies))

    # Between them

    async def call(self, app: App) -> None:
        """Call the app, unless the client leaves first."""
        if self.behaviour.whole_body:
            await self.until(lambda: self.body_ended or self.gone)
        if self.body_ended or not self.behaviour.whole_body:
            await super().call(app)

    @property
    def result(self) -> Result:
        """What became of the app; it has ended."""
        return Result(
            outcome=self.outcome,
            status=self.start.get("status"),
            body=self.body,
            seconds=self.seconds,
            exception=self.exception,
            report=self.report,
        )

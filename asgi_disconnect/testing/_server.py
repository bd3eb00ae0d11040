"""The server's side of one exchange: `receive` and `send` as a server would offer them.

What differs from server to server is in `behaviours`; where the response stands is told as the
middleware tells it (contract §3).
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from .._exchange.response import COMPLETE, NOT_STARTED, Response, advance
from .._report import PLAYED, DisconnectReport, Reported
from .._types import App, Message, Scope
from ._behaviours import Behaviour
from ._result import Outcome, Result


class PlayedServer:
    """Serves one exchange, and remembers what happened."""

    def __init__(self, behaviour: Behaviour, scope: Scope) -> None:
        self.behaviour = behaviour
        self.scope: Scope = {**scope, PLAYED: self}
        self.sent: list[Message] = []
        """What the app sent while the client was there."""
        self.called: bool = False
        self.ended: bool = False
        self.gone: bool = False
        """The client has left."""
        self.premature: bool = False
        """It left before the response was complete."""
        self.told: bool = False
        """The app has been given a premature disconnect."""
        self.cancelled: bool = False
        """The app ended by a cancellation, ours or its own."""
        self.overran: bool = False
        """We cancelled it since it ran on for too long."""
        self.receiving: int = 0
        """Calls of `receive()` that wait."""
        self.sending: int = 0
        """Calls of `send()` that wait."""
        self.bytes_received: int = 0
        self.bytes_sent: int = 0
        self.body_ended: bool = False
        self.reading: bool = True
        """The client takes what is sent to it."""
        self.send_error: OSError | None = None
        self.exception: Exception | None = None
        self.report: DisconnectReport | None = None
        self.exchange: Reported | None = None
        """What a `DisconnectMiddleware` makes of this, as long as the app runs."""
        self.app_scope: anyio.CancelScope = anyio.CancelScope()
        self._unread: deque[Message] = deque()
        self._said = False
        self._loses_next = False
        self._response: Response = NOT_STARTED
        self._left_at = self._ended_at = 0.0
        self._waiters: list[tuple[Callable[[], bool], anyio.Event]] = []

    # The app's side

    async def receive(self) -> Message:
        """The `receive` that the app is given."""
        self.receiving += 1
        self._changed()
        try:
            return await self._next_message()
        except anyio.get_cancelled_exc_class():
            self._loses_next = self.behaviour.loses_cancelled_receive and not self.body_ended
            raise
        finally:
            self.receiving -= 1
            self._changed()

    async def _next_message(self) -> Message:
        while not (self._has_piece or self._has_disconnect):
            await self.until(lambda: self._has_piece or self._has_disconnect)
        if self._has_piece:
            message = self._unread.popleft()
            self.bytes_received += len(message["body"])
            return message
        self._said = True
        self.told = self.told or self.premature
        return {"type": "http.disconnect"}

    @property
    def _over(self) -> bool:
        return self.gone or (self.complete and self.behaviour.tells_of_completion)

    @property
    def _has_piece(self) -> bool:
        return bool(self._unread) and not (self._over and self.behaviour.drops_unread_body)

    @property
    def _has_disconnect(self) -> bool:
        return self._over and (self.behaviour.repeats_disconnect or not self._said)

    async def send(self, message: Message) -> None:
        """The `send` that the app is given."""
        self.sending += 1
        try:
            await self._send(message)
        finally:
            self.sending -= 1
            self._changed()

    async def _send(self, message: Message) -> None:
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

    def leave(self) -> None:
        """The client closes its connection."""
        if not self.gone:
            self.gone = True
            self.premature = not (self.ended or self.complete)
            self._left_at = anyio.current_time()
            self._changed()

    def set_reading(self, reading: bool) -> None:
        """Have the client read, or not."""
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
    def waits_for_client(self) -> bool:
        """Somebody waits in `receive()`, having got all that there was."""
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
        """What the client has got of the response's body."""
        bodies: Iterable[Any] = (
            each.get("body", b"") for each in self.sent if each["type"] == "http.response.body"
        )
        return b"".join(map(bytes, bodies))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds."""
        if not condition():
            # Not woken at each change: where one comes at every tick, asyncio would never find it
            # waiting, and could not cancel it.
            waiter = condition, anyio.Event()
            self._waiters.append(waiter)
            try:
                await waiter[1].wait()
            finally:
                self._waiters.remove(waiter)

    def _changed(self) -> None:
        for condition, event in self._waiters:
            if condition():
                event.set()

    # Between them

    async def serve(self, app: App) -> None:
        """Call the app as the server would, and see it to its end."""
        try:
            if self.behaviour.whole_body:
                await self.until(lambda: self.body_ended or self.gone)
            if self.body_ended or not self.behaviour.whole_body:
                self.called = True
                self._changed()
                await self._call(app)
        finally:
            self.ended = True
            self.exchange = None
            self._ended_at = anyio.current_time()
            self._changed()

    async def _call(self, app: App) -> None:
        try:
            with self.app_scope:
                await app(self.scope, self.receive, self.send)
        except Exception as error:
            self.exception = error
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        self.cancelled = self.app_scope.cancelled_caught

    async def cancel_in_time(self) -> None:
        """Cancel the app as the server does by itself, if it does."""
        if self.behaviour.cancels_after is not None:
            await self.until(lambda: self.gone or self.complete)
            await anyio.sleep(self.behaviour.cancels_after)
            self.app_scope.cancel()

    def observe(self, report: DisconnectReport) -> None:
        """Hear of a report that a `DisconnectMiddleware` makes, wherever in the app it stands."""
        if report.scope.get(PLAYED) is self:
            self.report = report

    @property
    def result(self) -> Result:
        """What became of the app; it has ended."""
        return Result(
            outcome=self._outcome,
            status=self.start.get("status"),
            body=self.body,
            seconds=max(0.0, self._ended_at - self._left_at) if self.premature else 0.0,
            exception=self.exception,
            report=self.report,
        )

    @property
    def _outcome(self) -> Outcome:
        if not self.called:
            return "uncalled"
        if self.overran:
            return "overran"
        if self.report is not None:
            return self.report.outcome
        if not self.premature:
            return "completed" if self.complete else "failed"
        if self.cancelled:
            return "cancelled"
        return "told" if self.told else "finished"

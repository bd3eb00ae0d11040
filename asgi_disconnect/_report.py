"""Reports each premature disconnect to the operator (contract §7)."""

import functools
import inspect
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import anyio

from ._buffer.pieces import size_of_body
from ._departure.causes import Cause, Outcome, Phase
from ._exchange.bounded import BoundedExchange
from ._exchange.exchange import Exchange
from ._exchange.http import HTTPExchange
from ._exchange.limits import Refused
from ._exchange.response import NOT_STARTED
from ._exchange.servers import is_gunicorns
from ._exchange.websocket import WebSocketExchange
from ._guards.interruptible import InterruptibleReceive
from ._guards.protocol import Guard
from ._options import Options
from ._types import Message, Receive, Scope, Send

logger: logging.Logger = logging.getLogger("asgi_disconnect")

_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start"})
_BRING_BYTES: Final = frozenset({"http.response.body", "websocket.send"})

observers: list[Callable[[Any], object]] = []
"""Called with each report, besides the instances' own hooks; `testing` and `check` use this."""

PLAYED: Final = "asgi_disconnect.testing"
"""The scope's key under which `testing` puts the server that it plays."""


@dataclass(frozen=True, slots=True)
class DisconnectReport:
    """What a client's departure did, once the app has ended.  Since 0.1."""

    scope: Scope
    """The connection scope that the app was given."""
    phase: Phase
    """What the departure interrupted: receiving the body, processing, or the response; or a
    connected WebSocket."""
    outcome: Outcome
    """What became of the app.

    ``told``: it got the disconnect and ended in its own way.  ``cancelled``: it was cancelled.
    ``overran``: it did not end within `grace` after it was told, and was cancelled; or its cleanup
    did not end within `cleanup_timeout`.  ``ignored``: `cancel=False` or `ignore()` kept it from
    being cancelled.  ``finished``: it ended before anything was done.
    """
    cause: Cause
    """How the departure became known, or why the request was refused (`Cause`)."""
    seconds_since_start: float
    """Seconds from the start of the exchange to the end of the app."""
    seconds_to_end: float
    """Seconds from the disconnect to the end of the app."""
    bytes_received: int
    """Bytes of the request's body, or of a WebSocket's messages, that were read from the server."""
    bytes_sent: int
    """Bytes of the response's body, or of a WebSocket's messages, that were handed to the server;
    without files sent by path or descriptor."""
    status: int | None
    """The response's status, if it had started."""
    exception: BaseException | None = None
    """The exception that the app ended with, if any.

    None if that was our cancellation.  The server does not see what an abandoned app raises, so a
    bug in its cleanup shows here.  Since 0.2.
    """
    code: int | None = None
    """A WebSocket's close code, if the server gave one; None for HTTP.  Since 0.2."""


class Reported(Exchange):
    """Mixed into an exchange to count bytes, and to call hooks if its client leaves."""

    reported_scope: Scope | None = None
    """The app's scope, until the app has ended: it refers to us."""
    _bytes_received = 0
    _bytes_sent = 0
    _status: int | None = None
    _phase: Phase = "processing"
    _completed_at: float | None = None

    def __init__(
        self,
        options: Options,
        guard: Guard,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        super().__init__(options, guard, scope, self._receive_counted, send)
        self.receive_uncounted = receive
        self._started = self._left_at = time.monotonic()
        if PLAYED in scope:
            scope[PLAYED].note_exchange(self)

    async def _receive_counted(self) -> Message:
        message = await self.receive_uncounted()
        self._bytes_received += _size_of(message)
        return message

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        dropped = self.departure_so_far is not None and self.departure_so_far.drops
        await super().send(message)
        if dropped:
            return
        if message.get("type") in _STARTS:
            self._status = message.get("status")
        elif message.get("type") in _BRING_BYTES:
            self._bytes_sent += _size_of(message)
        if self.options.end_hooks and self._completed_at is None and self.complete:
            self._completed_at = time.monotonic()

    def depart(self, cause: Cause, *, told: bool = False) -> bool:
        """Note why the client has left."""
        now, phase = time.monotonic(), self.phase
        is_new = super().depart(cause, told=told)
        if is_new:
            self._left_at, self._phase = now, phase
            if self.reported_scope is not None:
                _call_methods(self.options.leave_hooks, "on_leave", self.reported_scope)
        return is_new

    def close(self, error: BaseException | None = None) -> None:
        """The app has ended, and the watcher is about to."""
        super().close(error)
        # `_receive_counted` refers to us.
        if isinstance(self.server_receive, InterruptibleReceive):
            self.server_receive.receive = self.receive_uncounted
        else:
            self.server_receive = self.receive_uncounted
        scope, self.reported_scope = self.reported_scope, None
        if scope is None:
            return
        departure = self.departure_so_far
        cause = departure.cause if departure is not None else None
        if cause is not None:
            _call_methods(self.options.stop_hooks, "on_stop", scope)
        now = time.monotonic()
        if self.options.end_hooks:
            complete = self.complete and cause is None
            ended_at = self._completed_at if complete and self._completed_at is not None else now
            taken = ended_at - self._started
            _call_methods(self.options.end_hooks, "on_end", scope, taken, complete)
        if departure is None or cause is None:
            return
        report = DisconnectReport(
            scope=scope,
            phase=self._phase,
            outcome=departure.outcome,
            cause=cause,
            seconds_since_start=now - self._started,
            seconds_to_end=now - self._left_at,
            bytes_received=self._bytes_received,
            bytes_sent=self._bytes_sent,
            status=self._status,
            exception=error,
            code=self.disconnect.get("code") if self.disconnect is not None else None,
        )
        self.guard.start(functools.partial(_call_hooks, report, self.options), finish=True)


class ReportedHTTPExchange(Reported, HTTPExchange):
    """An HTTP exchange that is reported if its client leaves before the end."""

    def _server_is_gunicorn(self) -> bool:
        return is_gunicorns(self.receive_uncounted)

    def refuse(self, refused: Refused) -> bool:
        """Answer for the app, unless it has begun to."""
        not_started = self.response is NOT_STARTED
        premature = super().refuse(refused)
        if premature and not_started:
            self._status = refused.status
        return premature


class ReportedWebSocketExchange(Reported, WebSocketExchange):
    """A WebSocket that is reported if its client leaves before the end."""


class ReportedBoundedExchange(ReportedHTTPExchange, BoundedExchange):
    """The same for one that has a deadline, or may be refused before its app is called."""


def reported(kind: Literal["http", "websocket"], *, bounded: bool) -> type[Reported]:
    """The class of exchanges for a scope of type `kind`."""
    if kind == "websocket":
        return ReportedWebSocketExchange
    return ReportedBoundedExchange if bounded else ReportedHTTPExchange


def _size_of(message: Message) -> int:
    """How many bytes of a body, or of a WebSocket's data, `message` brings."""
    data: Any = message.get("bytes")
    if isinstance(data, bytes | bytearray):
        return len(data)
    text: Any = message.get("text")
    if isinstance(text, str):
        return len(text.encode("utf-8", "surrogatepass"))
    return size_of_body(message)


def _call_methods(methods: Iterable[Callable[..., Any]], name: str, *arguments: object) -> None:
    for method in methods:
        try:
            method(*arguments)
        except Exception:
            logger.exception("%s() of an on_disconnect= hook raised: %r", name, method)


async def _call_hooks(report: DisconnectReport, options: Options) -> None:
    for hook in (*options.on_disconnect, *observers):
        try:
            with anyio.move_on_after(options.cleanup_timeout) as patience:
                result = hook(report)
                if inspect.isawaitable(result):
                    await result
            if patience.cancelled_caught:
                logger.error("an on_disconnect= hook took too long: %r", hook)
        except Exception:
            logger.exception("an on_disconnect= hook raised: %r", hook)

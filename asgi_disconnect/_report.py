"""What an operator can use: a report of each premature disconnect (contract §7)."""

import functools
import inspect
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from ._buffer.pieces import size_of_body
from ._departure.departure import Cause, Guard, Outcome
from ._exchange.headers import announces_body
from ._exchange.http import Exchange
from ._exchange.limits import Refused
from ._exchange.response import NOT_STARTED
from ._options import Options
from ._types import Message, Receive, Scope, Send

logger: logging.Logger = logging.getLogger("asgi_disconnect")

observers: list[Callable[[Any], object]] = []
"""Called with each report, beside the instances' own hooks: how `testing` and `check` look on."""

Phase = Literal["receiving", "processing", "responding"]


@dataclass(frozen=True, slots=True)
class DisconnectReport:
    """What a client's departure did, once the app has ended."""

    scope: Scope
    """The connection scope that the app was given."""
    phase: Phase
    """What the departure interrupted: receiving the body, processing, or the response."""
    outcome: Outcome
    """What became of the app.

    ``told``: it was given the disconnect and ended in its own way.  ``cancelled``: it was
    cancelled.  ``overran``: it did not end within `grace` after it was told, and was cancelled; or
    its cleanup did not end within `cleanup_timeout`.  ``ignored``: it was not to be cancelled, by
    `cancel=False` or `ignore()`.  ``finished``: it ended before anything was done.
    """
    cause: Cause
    """How the departure became known, or what we could not accept (`Cause`)."""
    seconds_since_start: float
    """Seconds from the start of the exchange to the end of the app."""
    seconds_to_end: float
    """Seconds from the disconnect to the end of the app."""
    bytes_received: int
    """Bytes of the request's body that were read from the server."""
    bytes_sent: int
    """Bytes of the response's body that were handed to the server; files sent by path or by
    descriptor are not counted."""
    status: int | None
    """The response's status, if it had started."""
    exception: BaseException | None = None
    """What the app ended with, if it raised anything: the very object.

    None if that was our cancellation.  An error that an abandoned app raises is nothing that the
    server hears of, so this is where a bug in its cleanup shows.
    """


class ReportedExchange(Exchange):
    """An exchange that keeps count, and calls `hooks` if its client leaves before the end."""

    __slots__ = ("_bytes_sent", "_left_at", "_phase", "_scope", "_started", "_status")

    def __init__(
        self,
        options: Options,
        guard: Guard,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        super().__init__(options, guard, scope, receive, send)
        self._scope: Scope | None = scope
        self._started = self._left_at = time.monotonic()
        self._phase: Phase = "processing"
        self._bytes_sent = 0
        self._status: int | None = None

    async def _read(self) -> Message:
        message = await super()._read()
        self._received += size_of_body(message)
        return message

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        dropped = self.departure_so_far is not None and self.departure_so_far.drops
        await super().send(message)
        if dropped:
            return
        if message.get("type") == "http.response.start":
            self._status = message.get("status")
        elif message.get("type") == "http.response.body":
            self._bytes_sent += size_of_body(message)

    def refuse(self, refused: Refused) -> bool:
        """Answer in the app's stead, unless it has begun to."""
        not_started = self._response is NOT_STARTED
        premature = super().refuse(refused)
        if premature and not_started:
            self._status = refused.status
        return premature

    def _leave(self, disconnect: Message, cause: Cause, *, told: bool = False) -> bool:
        if self._disconnect is not None:  # it has been said before, by `send`
            return False
        self._left_at = time.monotonic()
        if self._response is not NOT_STARTED:
            self._phase = "responding"
        elif not self._request_complete and announces_body(self._headers):
            self._phase = "receiving"
        return super()._leave(disconnect, cause, told=told)

    def close(self, error: BaseException | None = None) -> None:
        """The app has ended, and the watcher is about to."""
        super().close(error)
        scope, self._scope = self._scope, None  # which refers to us
        if scope is None or self.departure_so_far is None or self.departure_so_far.cause is None:
            return
        now = time.monotonic()
        report = DisconnectReport(
            scope=scope,
            phase=self._phase,
            outcome=self.departure_so_far.outcome,
            cause=self.departure_so_far.cause,
            seconds_since_start=now - self._started,
            seconds_to_end=now - self._left_at,
            bytes_received=self._received,
            bytes_sent=self._bytes_sent,
            status=self._status,
            exception=error,
        )
        self._guard.start(functools.partial(_call_hooks, report, self._options), finish=True)


async def _call_hooks(report: DisconnectReport, options: Options) -> None:
    for hook in (*options.on_disconnect, *observers):
        try:
            with anyio.move_on_after(options.cleanup_timeout) as patience:
                result = hook(report)
                if inspect.isawaitable(result):
                    await result
            if patience.cancelled_caught:
                logger.error("a hook of on_disconnect= took too long: %r", hook)
        except Exception:
            logger.exception("a hook of on_disconnect= raised: %r", hook)

"""What a handler can use: the `Disconnect` of its exchange (contract §6)."""

import math
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Final, TypeVar, overload

import anyio

from ._departure.callbacks import Callback
from ._departure.causes import Cause
from ._departure.departure import Departure
from ._exchange.exchange import Exchange
from ._options import Options

T = TypeVar("T")


class ClientDisconnected(OSError):
    """The client left before its response was complete, or cannot get it for another reason.

    `Disconnect.cause` says which: a deadline that has passed, for example.

    Since 0.1.
    """


_GONE: Final = "the client left before its response was complete"
_TEXTS: Final[dict[Cause, str]] = {
    "disconnect": _GONE,
    "send_error": _GONE,
    "body_too_large": "the request's body is too large and was refused",
    "body_timeout": "the request's body did not arrive in time and was refused",
    "no_storage": "the request's stored body cannot be read back",
    "deadline": "the deadline passed before the response was complete",
}


class CallbackHandle:
    """Returned by `Disconnect.add_callback`; `remove()` removes the callback.  Since 0.1."""

    __slots__ = ("_departure", "_key")

    def __init__(self, departure: Departure, key: object) -> None:
        self._departure = departure
        self._key = key

    def remove(self) -> bool:
        """Remove the callback, so that it is not called.  Works from any thread.

        False if it was removed before, or the client has left: then the callback has been called or
        is about to be, and may still be running.
        """
        return self._departure.remove_callback(self._key)


class Critical:
    """Returned by `Disconnect.critical`: a block that finishes before any cancellation."""

    __slots__ = ("_departure", "_scope")

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def __enter__(self) -> None:
        self._departure.enter_critical()
        for interruption in tuple(self._departure.interruptions):
            interruption.wait_until_idle()

    def __exit__(self, *_: object) -> None:
        self._departure.leave_critical()

    async def __aenter__(self) -> None:
        self._departure.enter_critical()
        self._scope = anyio.CancelScope(shield=True)
        self._scope.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return self._scope.__exit__(kind, error, traceback)
        finally:
            self._departure.leave_critical()


class Disconnect:
    """Says whether one exchange's client has left before its response was complete.

    A handler gets it from `current_disconnect()` or from ``scope["asgi_disconnect"]``.

    Since 0.1.
    """

    __slots__ = ("_deadline", "_exchange", "_last")

    _last: Departure | None
    _deadline: float
    """By `time.monotonic()`; the middleware sets it, if there is one."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange: Exchange | None = exchange

    # Middlewares copy scopes, hypercorn's ProxyFix deeply: a copy is about the same exchange.

    def __copy__(self) -> "Disconnect":
        return self

    def __deepcopy__(self, memo: object) -> "Disconnect":
        return self

    def end(self) -> None:
        """The exchange is over.

        A copy of the handler's context keeps this alive: uvicorn's keep-alive timer has one, for
        seconds.  So let go of the exchange, the app's task and the server's calls.
        """
        if self._exchange is not None:
            self._last = self._exchange.departure_so_far
            self._exchange = None

    def is_set(self) -> bool:
        """Whether the client has left before its response was complete.  Works from any thread."""
        return self.cause is not None

    @property
    def cause(self) -> Cause | None:
        """Why the response will not be completed; None while it still may.  Works from any thread.

        ``"disconnect"`` and ``"send_error"``: the client has left.  ``"deadline"``: the deadline
        has passed.  ``"body_too_large"``, ``"body_timeout"`` and ``"no_storage"``: the request's
        body could not be accepted.

        Since 0.2.
        """
        departure = self._departure_so_far()
        return None if departure is None else departure.cause

    def remaining(self) -> float:
        """Seconds until the deadline of this exchange passes.  Works from any thread.

        Never below 0; `math.inf` without a deadline, and after `ignore()`.  Pass it on to what the
        handler waits for: httpx, a database's ``statement_timeout``, a subprocess.

        Since 0.2.
        """
        departure = self._departure_so_far()
        if departure is not None:
            if departure.ignored:
                return math.inf
            if departure.cause == "deadline":
                return 0.0
        return max(0.0, getattr(self, "_deadline", math.inf) - time.monotonic())

    def raise_if_set(self) -> None:
        """Raise `ClientDisconnected` if the client has left.  Works from any thread.

        Also if the response will not be completed for another `cause`; the error says which.
        """
        cause = self.cause
        if cause is not None:
            raise ClientDisconnected(_TEXTS[cause])

    async def wait(self) -> None:
        """Return when the client has left; watching starts at once.

        Once the response is complete this never returns: the client has got what it came for.
        """
        if self._exchange is not None:
            self._exchange.due()
        await self._departure().wait()

    def add_callback(self, callback: Callback) -> CallbackHandle:
        """Call `callback`, without arguments, as soon as the client has left.

        If it has left already, that is now.  An async function is awaited; a plain one is called in
        a worker thread, so that ``connection.cancel()`` and the like may block.  The callback runs
        in the context of the code that adds it, and has `cleanup_timeout` seconds; if it raises,
        the error is logged.  You can add one from any thread.

        There are 40 threads, and a plain callback that hangs keeps its own.  If none is free within
        `cleanup_timeout` seconds, the callback is not called, and that is logged.

        The callback may run while the handler goes on, so what it stops must still belong to the
        handler: a connection that has gone back to its pool may belong to another request by then.
        """
        departure = self._departure()
        return CallbackHandle(departure, departure.add_callback(callback))

    def ignore(self) -> None:
        """Keep this exchange's app from being cancelled.  Works from any thread.

        That lifts its deadline, too.  What has been cancelled already stays cancelled.
        """
        self._departure().ignored = True

    def critical(self) -> Critical:
        """A block that finishes before any cancellation is delivered.

        Use ``async with`` in async code.  In sync code, ``with`` holds back the cancellation of the
        exchange, so that async code around the thread is not cancelled either.
        """
        return Critical(self._departure())

    def _departure_so_far(self) -> Departure | None:
        exchange = self._exchange
        return self._last if exchange is None else exchange.departure_so_far

    def _departure(self) -> Departure:
        exchange = self._exchange
        if exchange is not None:
            return exchange.departure
        return self._last or Departure(Options(), None)  # one that can't happen any more


_NO_DEFAULT: Final = object()
current: Final[ContextVar[Disconnect]] = ContextVar("asgi_disconnect.current")


@overload
def current_disconnect() -> Disconnect: ...
@overload
def current_disconnect(default: T) -> Disconnect | T: ...
def current_disconnect(default: object = _NO_DEFAULT) -> object:
    """The `Disconnect` of the exchange in which this is called.

    Works in the handler, in tasks that it started, and in threads that anyio or asgiref runs for
    it.  Outside an exchange it returns `default`, or raises `LookupError` if there is none.

    Since 0.1.
    """
    found: object = current.get(None)
    if found is not None:
        return found
    if default is not _NO_DEFAULT:
        return default
    raise LookupError(
        "no exchange is guarded by DisconnectMiddleware here: is the app wrapped in it, with"
        " websocket=True if this is a WebSocket, does its only= choose this request, and was this"
        " thread started with the request's context (anyio.to_thread,"
        " asgiref.sync.sync_to_async, contextvars.copy_context)?"
    )

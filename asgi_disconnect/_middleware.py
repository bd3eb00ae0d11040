"""The middleware: which exchanges are guarded, and by what (contract §1)."""

import functools
import logging
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import Any, Final, Literal

from ._application import as_single_callable
from ._disconnect import Disconnect, current
from ._exchange.bounded import BoundedExchange
from ._exchange.deadline import seconds_for
from ._exchange.exchange import Exchange
from ._exchange.headers import PLAIN, make_readable
from ._exchange.http import HTTPExchange
from ._exchange.websocket import WebSocketExchange
from ._guards.choice import guard_for_caller
from ._options import Options, as_hooks
from ._report import DisconnectReport, observers, reported
from ._types import App, Scope

logger: logging.Logger = logging.getLogger("asgi_disconnect")

SCOPE_KEY: Final = "asgi_disconnect"

Hook = Callable[[DisconnectReport], Any]
"""Sync or async."""


class DisconnectMiddleware:
    """Stops the work of an ASGI application whose client has left.

    ::

        app = DisconnectMiddleware(app)

    Put it outermost.  An app that listens for the disconnect, by waiting in `receive()`, is told
    first and has `grace` seconds to end in its own way; an app that does not listen is cancelled.
    After the response is complete nothing is cancelled: background tasks run to their end.  HTTP is
    guarded, and WebSockets with `websocket=True`; lifespan passes through.

    Since 0.1.

    :param app: any ASGI 3 or ASGI 2 application.
    :param cancel: whether to cancel at all.  If false, the app still gets the disconnect from
        `receive()`.
    :param grace: seconds that an app has to end once it has been told (default 10);
        `math.inf` to tell it and never cancel it.
    :param only: a callable that takes the connection scope and says whether to guard the exchange
        (default: guard all).  If it raises, the exchange is guarded and the error logged.
    :param watch_after: seconds into an exchange before the middleware starts to read ahead of the
        app (default 0.005).  A request that ends earlier costs next to nothing; one that is
        abandoned earlier is cancelled that much later.  0 watches from the first tick on;
        `math.inf` never reads ahead, so that only an app that listens learns of the disconnect.
    :param cleanup_timeout: on asyncio, seconds that cleanup (`finally`, `except`, `__aexit__`) may
        await after a cancellation before it is cancelled again (default 10); `math.inf` for no
        limit.  On trio, cleanup that awaits must shield itself.
    :param max_memory: bytes of a request's unread body, overhead included, to hold in memory
        (default 1 MiB); the rest goes to a temporary file.
    :param max_disk: bytes that the temporary files of all exchanges of this instance may take
        together (default 256 MiB); none takes more than it leaves to the others.  If there is no
        room, or the disk fails, reading ahead pauses until the app has read: nothing is refused
        or lost, but a client that leaves meanwhile goes unnoticed.  0 never uses the disk;
        `math.inf` for no limit.  Since 0.2.
    :param max_body_size: bytes that a request's body may have (default: no limit).  A larger one is
        answered ``413`` if the response has not started, and the app is cancelled.
    :param body_timeout: seconds that the next piece of an unfinished body may take (default: no
        limit).  After that the request is answered ``408`` in the same way.
    :param buffer: ``"ahead"`` (default) calls the app at once and reads on while it works;
        ``"whole"`` receives the complete body first, or as much as there is room for, so that a
        client that leaves in mid-upload never reaches the app.
    :param deadline: seconds that a request may take (default: no limit), or a callable that takes
        the connection scope and returns them, or None.  After that the request is answered ``504``
        if the response has not started, and the app is told or cancelled as if its client had left;
        a response that has started is cut off, and a complete one is left alone.  If the callable
        raises, or returns something else, that is logged and there is no limit.  WebSockets have no
        deadline.  Since 0.2.
    :param websocket: whether to guard WebSockets too (default: they pass through untouched).  When
        the client leaves, the app has `grace` seconds to finish its last message or to get the
        disconnect from `receive()`; an app that has not got it by then is cancelled.  `max_memory`
        bounds the unread messages; the other bounds are for HTTP only.  Since 0.2.
    :param on_disconnect: one callable or several, each called with a `DisconnectReport` once for
        each premature disconnect, after the app has ended.  A sync one is called on the event loop
        and must not block; an async one has `cleanup_timeout` seconds.  If it raises, the error is
        logged and harms no request.  If it has a method ``on_end(scope, seconds, complete)``, that
        is called, too, at the end of every guarded exchange; ``on_leave(scope)`` is called when the
        client leaves, and ``on_stop(scope)`` when the app has ended after that.  See the guide on
        monitoring.  These methods since 0.2.
    :raises TypeError: if `app` is not callable or an option has the wrong type.
    :raises ValueError: if an option is out of range.
    """

    def __init__(
        self,
        app: Any,
        *,
        cancel: bool = True,
        grace: float = 10.0,
        only: Callable[[Scope], Any] | None = None,
        watch_after: float = 0.005,
        cleanup_timeout: float = 10.0,
        max_memory: float = 1048576,
        max_disk: float = 268435456,
        max_body_size: float | None = None,
        body_timeout: float | None = None,
        buffer: Literal["ahead", "whole"] = "ahead",
        deadline: float | Callable[[Scope], float | None] | None = None,
        websocket: bool = False,
        on_disconnect: Hook | Iterable[Hook] | None = None,
    ) -> None:
        self.app: App = as_single_callable(app)
        self._options = Options(
            cancel=cancel,
            grace=grace,
            only=only,
            watch_after=watch_after,
            cleanup_timeout=cleanup_timeout,
            max_memory=max_memory,
            max_disk=max_disk,
            max_body_size=max_body_size,
            body_timeout=body_timeout,
            buffer=buffer,
            seconds=None if callable(deadline) else deadline,
            deadline=deadline if callable(deadline) else None,
            websocket=websocket,
            on_disconnect=as_hooks(on_disconnect),
        )
        self._may_not_be_called = max_body_size is not None or buffer == "whole"
        seconds = self._options.seconds
        if seconds is not None and seconds <= watch_after:
            self._may_not_be_called = True
        self._is_bounded = self._may_not_be_called or deadline is not None
        self._http_exchange: type[HTTPExchange] = (
            BoundedExchange if self._is_bounded else HTTPExchange
        )

    # Any, because each framework has its own types for these.
    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Handle one connection scope: the ASGI 3 application interface."""
        kind = scope.get("type")
        if kind != "http" and not (kind == "websocket" and self._options.websocket):
            return await self.app(scope, receive, send)
        if SCOPE_KEY in scope:
            return await self.app(scope, receive, send)
        own_scope = {**scope}
        headers: Any = scope.get("headers")
        # Checked here first, which spares most requests a call.
        plain = type(headers) in PLAIN and headers and type(headers[0]) in PLAIN
        if not plain and make_readable(own_scope):
            scope = {**own_scope}
        options = self._options
        if options.only is not None and not _chosen(options.only, own_scope):
            return await self.app(own_scope, receive, send)
        guard = guard_for_caller()
        if guard is None:
            return await self.app(own_scope, receive, send)
        exchange: Exchange
        app = self.app
        if options.on_disconnect or observers:
            exchange = reported(kind, bounded=self._is_bounded)(
                options, guard, scope, receive, send
            )
            exchange.reported_scope = own_scope
        elif kind == "http":
            exchange = self._http_exchange(options, guard, scope, receive, send)
        else:
            exchange = WebSocketExchange(options, guard, scope, receive, send)
        disconnect = own_scope[SCOPE_KEY] = Disconnect(exchange)
        if self._is_bounded and isinstance(exchange, BoundedExchange):
            seconds, may_not_be_called = options.seconds, self._may_not_be_called
            if options.deadline is not None:
                seconds = seconds_for(options.deadline, own_scope)
                passes_early = seconds is not None and seconds <= options.watch_after
                may_not_be_called = may_not_be_called or passes_early
            if seconds is None:
                exchange.deadline = inf
            else:
                exchange.deadline = deadline = monotonic() + seconds
                disconnect._deadline = deadline  # pyright: ignore[reportPrivateUsage]
            if may_not_be_called:
                app = functools.partial(exchange.enter, app)
        token = current.set(disconnect)
        try:
            return await guard.run(exchange, app, own_scope, options.watch_after)
        finally:
            try:  # noqa: SIM105 - on the path of every request
                current.reset(token)
            except ValueError:  # somebody closes the coroutine, in another context
                pass
            disconnect.end()


def _chosen(only: Callable[[Scope], Any], scope: Scope) -> bool:
    try:
        return bool(only(scope))
    except Exception:
        logger.exception(
            "only= raised for %s %s; the exchange is guarded",
            scope.get("method", "?"),
            scope.get("path", "?"),
        )
        return True

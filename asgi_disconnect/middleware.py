"""The middleware: which exchanges are guarded, and by what (contract §1)."""

import logging
from collections.abc import Callable
from typing import Any

from .application import as_single_callable
from .exchange import Exchange
from .guards import guard_for_caller
from .headers import make_readable
from .options import Options
from .types import App, Receive, Scope, Send

logger: logging.Logger = logging.getLogger("asgi_disconnect")

SCOPE_KEY = "asgi_disconnect"


class DisconnectMiddleware:
    """Stops the work of an ASGI application whose client has left.

    ::

        app = DisconnectMiddleware(app)

    Put it outermost.  An app that listens for the disconnect itself, by a call of `receive()` that
    waits, is told first and has `grace` seconds to end in its own way; an app that does not listen
    is cancelled.  After the response is complete nothing is cancelled: background tasks run to
    their end.  Only HTTP is guarded; WebSocket and lifespan pass through.

    :param app: any ASGI 3 or ASGI 2 application.
    :param cancel: whether to cancel at all.  If false, the app can still hear of the disconnect,
        by `receive()`.
    :param grace: seconds that an app has to end once it has been told (default 10);
        `math.inf` to tell it and never cancel it.
    :param only: a callable that takes the connection scope and says whether to guard the exchange
        (default: all are guarded).  If it raises, the exchange is guarded and the error logged.
    :param watch_after: seconds into an exchange before the middleware starts to read ahead of the
        app (default 0.005).  A request that ends before costs next to nothing; one that is
        abandoned before is cancelled that much later.  0 watches from the first tick on;
        `math.inf` never reads ahead, so that only an app that listens learns of the disconnect.
    :param cleanup_timeout: on asyncio, seconds for which the awaits of the cleanup that a
        cancellation began (`finally`, `except`, `__aexit__`) are not cancelled again (default 10);
        `math.inf` for as long as they take.  On trio, cleanup that awaits shields itself.
    :raises TypeError: if `app` is not callable or an option is of another type.
    :raises ValueError: if an option is out of its range.
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
    ) -> None:
        self.app: App = as_single_callable(app)
        self._options = Options(
            cancel=cancel,
            grace=grace,
            only=only,
            watch_after=watch_after,
            cleanup_timeout=cleanup_timeout,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Handle one connection scope: the ASGI 3 application interface."""
        if scope.get("type") != "http" or SCOPE_KEY in scope:
            return await self.app(scope, receive, send)
        own_scope = {**scope}
        make_readable(own_scope)
        options = self._options
        if options.only is not None and not _chosen(options.only, own_scope):
            return await self.app(own_scope, receive, send)
        guard = guard_for_caller()
        if guard is None:
            return await self.app(own_scope, receive, send)
        exchange = Exchange(options, guard, own_scope.get("headers", ()), receive, send)
        own_scope[SCOPE_KEY] = exchange
        return await guard.run(exchange, self.app, own_scope, options.watch_after)


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

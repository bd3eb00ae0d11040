"""Watches what the app's own `DisconnectMiddleware`, wherever it stands, passes on inwards."""

from typing import Any

from .._middleware import DisconnectMiddleware
from .._types import App, Message, Receive, Scope, Send
from .following import DISCONNECTS, Followed, followed


def look_inside() -> None:
    """Make every new middleware from now on tell what becomes of a checked request."""
    make = DisconnectMiddleware.__init__

    def make_and_look(middleware: DisconnectMiddleware, app: Any, **options: Any) -> None:
        make(middleware, app, **options)
        # The defaults are the middleware's (contract §4).
        grace = options.get("grace", 10.0)
        cleanup_timeout = options.get("cleanup_timeout", 10.0)
        kinds = ("http", "websocket") if options.get("websocket", False) else ("http",)
        middleware.app = _tell_of(
            middleware.app, kinds, grace=grace, cleanup_timeout=cleanup_timeout
        )

    setattr(DisconnectMiddleware, "__init__", make_and_look)  # noqa: B010 - of another type


def _tell_of(app: App, kinds: tuple[str, ...], **times: float) -> App:
    async def watched(scope: Scope, receive: Receive, send: Send) -> Any:
        request = followed.get()
        kind = scope.get("type")
        if request is None or kind not in ("http", "websocket"):
            return await app(scope, receive, send)
        if kind not in kinds:
            request.tell("unguarded", unguarded=True)
            return await app(scope, receive, send)
        request.tell("guarded", **times)
        return await app(scope, _watch(request, receive), send)

    # So that the app's layers stay visible.
    watched.app = app  # type: ignore[attr-defined]
    return watched


def _watch(request: Followed, receive: Receive) -> Receive:
    async def watched_receive() -> Message:
        message = await receive()
        if message.get("type") in DISCONNECTS and not request.complete:
            request.tell("heard")
        return message

    return watched_receive

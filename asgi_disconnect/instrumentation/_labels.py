"""What the metrics have in common: labels of few values, whatever clients send, and buckets."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

from .._types import Scope

METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
OTHER: Final = "_OTHER"
"""Any other method: the name that OpenTelemetry's semantic conventions give it."""
WEBSOCKET: Final = "WEBSOCKET"
"""In place of a method, which a WebSocket has none of."""

BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Seconds: from a quick request to the long answer of a language model."""

Route = Callable[[Scope], str | None]
"""Takes the scope, and returns the template of the route that was taken, or None."""


def method_of(scope: Scope) -> str:
    """The request's method, if it is a known one; or that it is a WebSocket."""
    if scope.get("type") == "websocket":
        return WEBSOCKET
    method: object = scope.get("method")
    return method if isinstance(method, str) and method in METHODS else OTHER


def route_of(scope: Scope) -> str | None:
    """The template of the route that was taken, as ``/items/{item_id}``, if the framework says so.

    Starlette, FastAPI and Litestar leave it in the scope.  Never the path itself: every client
    would make labels of its own.  Of an app that is mounted, it is the inner template.
    """
    template: object = scope.get("path_template")  # Litestar
    if template:
        return template if isinstance(template, str) else None
    routes: list[Any] = [scope.get("route")]  # Starlette 1.x, FastAPI
    of_fastapi: Any = scope.get("fastapi")
    if of_fastapi:  # `route` lacks the prefixes of `include_router` there, but for WebSockets
        with contextlib.suppress(Exception):  # for it is FastAPI's own affair
            routes.insert(0, of_fastapi["effective_route_context"])
    for route in routes:
        path: object = getattr(route, "path_format", None) or getattr(route, "path", None)
        if path and isinstance(path, str):
            return path
    return None

"""What of a request may become a label of a metric: few values, whatever clients send."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..types import Scope

METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
OTHER: Final = "_OTHER"
"""Any other method: the name that OpenTelemetry's semantic conventions give it."""

Route = Callable[[Scope], str | None]
"""Takes the scope, and returns the template of the route that was taken, or None."""


def method_of(scope: Scope) -> str:
    """The request's method, if it is a known one."""
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
    route: object = scope.get("route")  # Starlette 1.x, FastAPI
    of_fastapi: Any = scope.get("fastapi")
    if isinstance(of_fastapi, Mapping):  # its `route` lacks the prefixes of `include_router`
        routes: Mapping[str, object] = of_fastapi
        route = routes.get("effective_route_context") or route
    path: object = getattr(route, "path_format", None) or getattr(route, "path", None)
    return path if isinstance(path, str) else None

"""Finds the template of the route that a request took, for each framework.

Starlette, FastAPI and Litestar leave it in the scope.  Quart sends a signal while it handles the
request.  Django tells nobody, so its resolver is asked again.  None of them is imported here.
"""

import contextlib
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from .._types import Scope

Route = Callable[[Scope], str | None]
"""Takes the scope and returns the template of the route, or None."""

_KEY: Final = "asgi_disconnect.route"
"""The scope's key for Quart's route."""


def route_of(scope: Scope) -> str | None:
    """The template of the route that was taken, such as ``/items/{item_id}``, if it can be found.

    It works for Starlette, FastAPI, Litestar, Quart and Django, and includes the prefixes of mounts
    and routers.  It never returns the path itself, which would let clients create labels.
    """
    template: object = scope.get("path_template") or scope.get(_KEY)  # Litestar, Quart
    if template:
        return template if isinstance(template, str) else None
    if "app" in scope or "route" in scope:
        return _route_of_starlette(scope)
    listen_to_quart()  # it may have been imported since
    return _route_of_django(scope)


# Starlette and FastAPI


def _route_of_starlette(scope: Scope) -> str | None:
    routes: list[Any] = [scope.get("route")]  # Starlette 1.x, FastAPI
    of_fastapi: Any = scope.get("fastapi")
    if of_fastapi:  # its `route` lacks the prefixes of `include_router`, except for WebSockets
        with contextlib.suppress(Exception):  # it is private to FastAPI
            routes.insert(0, of_fastapi["effective_route_context"])
    for route in routes:
        path: object = getattr(route, "path_format", None) or getattr(route, "path", None)
        if path and isinstance(path, str):
            is_mount = path.endswith("/{path}") and hasattr(route, "app")
            return _prefix_of_mounts(scope, "/{path}" if is_mount else path)
    return None


def _prefix_of_mounts(scope: Scope, path: str) -> str:
    """`path`, after the templates of the mounts that it is in."""
    if "app_root_path" not in scope:
        return path
    with contextlib.suppress(Exception):  # the routes are private to Starlette
        mounted = scope["root_path"].removeprefix(scope["app_root_path"])
        prefix = _template_of_mounts(scope["router"].routes, mounted)
        if prefix is not None:
            return prefix + path
    return path


def _template_of_mounts(routes: Iterable[Any], path: str) -> str | None:
    """The template of the nested mounts that make up `path`."""
    if not path:
        return ""
    for route in routes:
        template: str = getattr(route, "path_format", "")
        if not template.endswith("/{path}"):
            continue
        found = route.path_regex.match(f"{path}/")
        if found is None:
            continue
        inner = f"/{found['path']}".rstrip("/")
        rest = _template_of_mounts(getattr(route, "routes", None) or (), inner)
        if rest is not None:
            return template.removesuffix("/{path}") + rest
    return None


# Django


def _route_of_django(scope: Scope) -> str | None:
    if "django.core.handlers.asgi" not in sys.modules:
        return None
    urls: Any = sys.modules.get("django.urls")
    root: Any = scope.get("root_path") or ""
    with contextlib.suppress(Exception):  # there is no such route, or a converter fails
        path = scope["path"].removeprefix(root)
        return f"/{urls.resolve(path).route}"
    return None


# Quart


def listen_to_quart() -> None:
    """Note Quart's routes from now on, if it has been imported.  You may call this repeatedly."""
    signals: Any = sys.modules.get("quart.signals")
    if signals is not None:
        signals.request_started.connect(_note_request)
        signals.websocket_started.connect(_note_websocket)


# Async, because Quart calls sync receivers in a thread.


async def _note_request(_app: Any, **_: Any) -> None:
    _note(sys.modules["quart"].request)


async def _note_websocket(_app: Any, **_: Any) -> None:
    _note(sys.modules["quart"].websocket)


def _note(connection: Any) -> None:
    rule = connection.url_rule
    if rule is not None:  # None for an unknown path
        connection.scope[_KEY] = rule.rule

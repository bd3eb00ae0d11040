"""What is compared: ways to put something around an application, dearest and cheapest alike."""

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response

from asgi_disconnect import DisconnectMiddleware

OURS = "asgi_disconnect"
BEFORE = "asgi_disconnect before"
CHECKOUT_BEFORE = "ASGI_DISCONNECT_BEFORE"
"""The environment variable by which a served application hears of the checkout to compare with."""
FASTAPI_DISCONNECT = "fastapi-disconnect"
TASK_GROUP = "task group"
AIOFENCE = "aiofence"


class PassThrough:
    """The cheapest middleware that there can be."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class TaskGroup:
    """The obvious way: a task group around every request, with a child that waits for the end.

    It throws the request's body away, and cancels an application whose response is complete: what
    it takes to be right comes on top.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            task_group.cancel_scope.cancel()

        async with anyio.create_task_group() as task_group:
            task_group.start_soon(watch)
            await self.app(scope, receive, send)
            task_group.cancel_scope.cancel()


class EmptyBaseHTTP(BaseHTTPMiddleware):
    """Starlette's base class, doing nothing."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response


def contenders() -> dict[str, Callable[[Any], Any]]:
    """Each contender's name, and how it wraps an application.

    fastapi-disconnect and aiofence need Python 3.12, and are missing where that is.  aiofence's
    middleware publishes the disconnect and cancels nothing: for that a handler enters a fence,
    which comes on top.
    """
    found: dict[str, Callable[[Any], Any]] = {
        "pass-through": PassThrough,
        OURS: DisconnectMiddleware,
        TASK_GROUP: TaskGroup,
        "empty BaseHTTPMiddleware": EmptyBaseHTTP,
    }
    if sys.version_info >= (3, 12):
        from fastapi_disconnect import CancelOnDisconnectMiddleware

        found[FASTAPI_DISCONNECT] = CancelOnDisconnectMiddleware
    if sys.version_info >= (3, 12) and importlib.util.find_spec("aiofence"):
        from aiofence.contrib.starlette import DisconnectMiddleware as Aiofence

        found[AIOFENCE] = Aiofence
    if CHECKOUT_BEFORE in os.environ:
        found[BEFORE] = ours_before(Path(os.environ[CHECKOUT_BEFORE]))
    return found


def ours_before(checkout: Path) -> Callable[[Any], Any]:
    """Ours as it is in another checkout, which is imported under another name."""
    package = checkout / "asgi_disconnect"
    spec = importlib.util.spec_from_file_location(
        "asgi_disconnect_before",
        package / "__init__.py",
        submodule_search_locations=[str(package)],
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # for its relative imports
    spec.loader.exec_module(module)
    middleware: Callable[[Any], Any] = module.DisconnectMiddleware
    return middleware

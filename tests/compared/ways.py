"""The ways to stop an abandoned request that "Compared" names, each around the same app.

fastapi-disconnect and aiofence need Python 3.12.  aiofence's middleware only says that the client
has left: what may be cancelled stands in a fence, so its apps are written with one.
"""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

Way = Callable[[Any], Any]


class ByHand:
    """What one writes first: a task group around each request, with a task that waits."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await self.app(scope, receive, send)
            tasks.cancel_scope.cancel()


def ours(app: Any) -> Any:
    return DisconnectMiddleware(app, watch_after=0)  # as the others do


def by_hand(app: Any) -> Any:
    return ByHand(app)


def fastapi_disconnect(app: Any) -> Any:
    module = pytest.importorskip("fastapi_disconnect", reason="not installed: needs Python 3.12")
    return module.CancelOnDisconnectMiddleware(app)


def aiofence(app: Any) -> Any:
    """The middleware alone, around an app that knows nothing of it."""
    module = pytest.importorskip(
        "aiofence.contrib.starlette", reason="not installed: needs Python 3.12"
    )
    return module.DisconnectMiddleware(app)


def aiofence_fenced(app: Any) -> Any:
    """The middleware, around an app that stands in a fence as a whole."""
    fencing = pytest.importorskip(
        "aiofence", reason="not installed: needs Python 3.12"
    ).get_current_fencing

    async def fenced(scope: Any, receive: Any, send: Any) -> None:
        with fencing().move_on_cancel():
            await app(scope, receive, send)

    return aiofence(fenced)


def aiofence_fenced_natively(app: Any) -> Any:
    """The same, by its other way to cancel: asyncio's own, once."""
    module = pytest.importorskip("aiofence", reason="not installed: needs Python 3.12")
    theirs = pytest.importorskip("aiofence.contrib.starlette")

    async def fenced(scope: Any, receive: Any, send: Any) -> None:
        with module.get_current_fencing().move_on_cancel():
            await app(scope, receive, send)

    return theirs.DisconnectMiddleware(fenced, backend=module.NativeBackend())


def every_way(expected: dict[Way, Any]) -> pytest.MarkDecorator:
    """Run the test with each of these ways, and with what is expected of it."""
    return pytest.mark.parametrize(
        ("way", "expected"),
        [pytest.param(way, each, id=way.__name__) for way, each in expected.items()],
    )

"""Apps that `check` is run on."""

import asyncio

from asgi_disconnect import DisconnectMiddleware, current_disconnect

try:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
except ImportError:
    Starlette = None


async def app(scope, receive, send):
    """Reads, works, responds in two pieces, and works in the background."""
    if scope["type"] != "http":
        return
    message = {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return
    pause = 0.0 if scope["path"] == "/quick" else 0.6
    try:
        await asyncio.sleep(pause)
    finally:
        await asyncio.sleep(min(pause, 0.05))
    headers = [(b"x-names", b",".join(sorted(name for name, _ in scope["headers"])))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"piece", "more_body": True})
    await asyncio.sleep(pause)
    await send({"type": "http.response.body", "body": b"last"})
    await asyncio.sleep(pause / 2)


class Swallowing:
    """Keeps the disconnect to itself."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        messages = [await receive()]

        async def swallowed():
            if messages:
                return messages.pop()
            await asyncio.sleep(3600)

        await self.app(scope, swallowed, send)


swallowing = Swallowing(DisconnectMiddleware(app))


async def uses_its_disconnect(scope, receive, send):
    if scope["type"] == "http":
        current_disconnect().is_set()
    await app(scope, receive, send)


guarded = DisconnectMiddleware(uses_its_disconnect)


async def leaves_a_task(scope, receive, send):
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        leaves_a_task.task = asyncio.ensure_future(asyncio.sleep(3600))
        raise


async def failing(scope, receive, send):
    if scope["type"] == "http":
        await asyncio.sleep(0.3)
        raise LookupError("no such thing")


def make():
    return DisconnectMiddleware(app)


if Starlette is not None:

    async def slow(request):
        await asyncio.sleep(0.6)
        return PlainTextResponse("done")

    async def timing(request, call_next):
        return await call_next(request)

    both = Starlette(
        routes=[Route("/", slow)],
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=timing),
            Middleware(Swallowing),
            Middleware(DisconnectMiddleware),
        ],
    )
    hidden = Starlette(
        routes=[Route("/", slow)],
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=timing),
            Middleware(DisconnectMiddleware),
        ],
    )

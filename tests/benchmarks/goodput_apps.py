"""The application of `goodput`: it works with one of a few permits, say database connections."""

import asyncio
from typing import Any

from overload import PERMITS, WORK, WORTH_BEGINNING

from asgi_disconnect import DisconnectMiddleware, current_disconnect

_permits = asyncio.Semaphore(PERMITS)
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"2")]


async def unwrapped(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/work":
        async with _permits:
            await asyncio.sleep(WORK)
    await respond(send, 200)


async def looks(scope: Any, receive: Any, send: Any) -> None:
    """The same, but what cannot be done in time is not begun."""
    if scope["path"] == "/work":
        async with _permits:
            if current_disconnect().remaining() < WORTH_BEGINNING:
                await respond(send, 503)
                return
            await asyncio.sleep(WORK)
    await respond(send, 200)


async def respond(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"ok"})


ours = DisconnectMiddleware(unwrapped)
with_deadline = DisconnectMiddleware(unwrapped, deadline=10)
looking = DisconnectMiddleware(looks, deadline=10)

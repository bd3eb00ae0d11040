"""The application of `goodput`: it works with one of a few permits, say database connections."""

import asyncio
from typing import Any

from overload import PERMITS, WORK

from asgi_disconnect import DisconnectMiddleware

_permits = asyncio.Semaphore(PERMITS)
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"2")]


async def unwrapped(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/work":
        async with _permits:
            await asyncio.sleep(WORK)
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"ok"})


ours = DisconnectMiddleware(unwrapped)

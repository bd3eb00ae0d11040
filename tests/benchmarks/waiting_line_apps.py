"""The application of `waiting_line`: it works with one of a few permits, or of a few threads.

``/async`` waits for a permit of a semaphore, ``/sync`` for a thread, and each works for `WORK`
seconds then.  ``/count`` says how many of which clients have arrived, begun and ended.
"""

import asyncio
import time
from collections import Counter
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

from asgi_disconnect import DisconnectMiddleware

PERMITS = 4
"""How many requests can be worked on at once: permits, and threads."""
WORK = 1.0
"""Seconds for which each holds its permit or its thread."""


class Counts:
    """Innermost: what has arrived, and what has ended, whoever it was for."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in ("/async", "/sync"):
            await self._app(scope, receive, send)
            return
        client = scope["query_string"].decode("ascii")
        counts[f"{client} arrived"] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            counts[f"{client} ended"] += 1


counts: Counter[str] = Counter()
_permits = asyncio.Semaphore(PERMITS)
_app = FastAPI()


@_app.get("/")
async def is_up() -> None:
    current_default_thread_limiter().total_tokens = PERMITS


@_app.get("/count")
async def count() -> dict[str, int]:
    return dict(counts)


@_app.get("/async")
async def wait_for_a_permit(client: str) -> None:
    async with _permits:
        counts[f"client={client} begun"] += 1
        await asyncio.sleep(WORK)


@_app.get("/sync")
def wait_for_a_thread(client: str) -> None:
    counts[f"client={client} begun"] += 1
    time.sleep(WORK)


unwrapped = Counts(_app)
ours = DisconnectMiddleware(unwrapped)

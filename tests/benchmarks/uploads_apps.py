"""What `uploads.py` has served, by one contender in each process.

Which contender wraps the applications stands in the environment (``CONTENDER``).  Beside them the
process answers what its memory's peak was (``/peak``, from ``/reset`` on) and when the application
that never reads was last cancelled (``/seen``, by the clock that all processes share).
"""

import asyncio
import ctypes
import functools
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asgi_disconnect import DisconnectMiddleware

UNWRAPPED = "unwrapped"
OURS = "asgi_disconnect"
FASTAPI_DISCONNECT = "fastapi-disconnect"
FASTAPI_DISCONNECT_64 = "fastapi-disconnect, queue_size=64"


def wraps() -> dict[str, Callable[[Any], Any]]:
    """Each contender's name, and how it wraps an application."""
    found: dict[str, Callable[[Any], Any]] = {
        UNWRAPPED: lambda app: app,
        OURS: DisconnectMiddleware,
    }
    if sys.version_info >= (3, 12):
        from fastapi_disconnect import CancelOnDisconnectMiddleware

        found[FASTAPI_DISCONNECT] = CancelOnDisconnectMiddleware
        found[FASTAPI_DISCONNECT_64] = functools.partial(
            CancelOnDisconnectMiddleware, queue_size=64
        )
    return found


seen: dict[str, float] = {"began": 0.0, "cancelled": 0.0}


async def answer(send: Any, content: Any) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def counting(scope: Any, receive: Any, send: Any) -> None:
    """Reads as fast as it can, and does nothing with it."""
    count, more = 0, True
    while more:
        message = await receive()
        count += len(message.get("body", b""))
        more = message.get("more_body", False)
    await answer(send, count)


async def hashing(scope: Any, receive: Any, send: Any) -> None:
    """Reads, and makes a digest of it."""
    digest, more = hashlib.sha256(), True
    while more:
        message = await receive()
        digest.update(message.get("body", b""))
        more = message.get("more_body", False)
    await answer(send, digest.hexdigest())


async def never_reading(scope: Any, receive: Any, send: Any) -> None:
    """Works for half a minute, unless it is cancelled."""
    seen["began"], seen["cancelled"] = time.monotonic(), 0.0
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        seen["cancelled"] = time.monotonic()
        raise
    await answer(send, None)


def resident(name: str) -> int:
    match = re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert match
    return int(match[1]) << 10


def reset_peak() -> None:
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


async def resetting(scope: Any, receive: Any, send: Any) -> None:
    reset_peak()
    await answer(send, resident("VmRSS"))


async def peaking(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, resident("VmHWM"))


async def seeing(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, seen)


async def ready(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, "ready")


wrap = wraps()[os.environ.get("CONTENDER", UNWRAPPED)]

PATHS = {
    "/": ready,
    "/reset": resetting,
    "/peak": peaking,
    "/seen": seeing,
    "/counting": wrap(counting),
    "/hashing": wrap(hashing),
    "/never_reading": wrap(never_reading),
}


async def application(scope: Any, receive: Any, send: Any) -> None:
    await PATHS[scope["path"]](scope, receive, send)

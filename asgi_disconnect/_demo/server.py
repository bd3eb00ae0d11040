"""The demo's server process: uvicorn on a free port, and an app that works for some seconds.

It prints a line for everything that happens to a request, and ends when its standard input does.
So it never outlives its parent, even if that is killed.
"""

import asyncio
import os
import socket
import sys
import threading
from typing import Any

import uvicorn

from .. import DisconnectMiddleware
from .._types import Receive, Scope, Send
from .clients import WORK

STEP = 0.1


def tell(event: str, subject: object) -> None:
    print(event, subject, flush=True)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Work in steps, like a query or a language model; then give back what was in use."""
    client = _client(scope)
    tell("started", client)
    try:
        for _ in range(round(WORK / STEP)):
            await asyncio.sleep(STEP)
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done\n"})
    finally:
        tell("stopped", client)
        await asyncio.sleep(0.02)  # a connection on its way back to its pool
        tell("cleaned", client)


def _client(scope: Scope) -> str:
    return str(scope["path"]).strip("/")


def serve(*, guarded: bool) -> None:
    """Serve until standard input ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    served: Any = DisconnectMiddleware(app) if guarded else app

    async def witnessed(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await served(scope, receive, send)
        finally:
            tell("ended", _client(scope))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        tell("port", listener.getsockname()[1])
        config = uvicorn.Config(witnessed, lifespan="off", log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    serve(guarded="guarded" in sys.argv[1:])

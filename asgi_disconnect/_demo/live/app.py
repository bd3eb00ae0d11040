"""The page's application: pure ASGI, so that it needs nothing but a server.

The page switches the middleware on and off for each request and each WebSocket.  Off, it only
listens (``cancel=False``), so the board knows that a client has left, and the handler works on.
"""

import asyncio
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from ... import DisconnectMiddleware
from ..._types import Receive, Scope, Send
from .board import Board
from .jobs import REQUESTS, SECONDS, WEBSOCKETS, handle

GRACE: Final = 1.0
"""Seconds that a WebSocket's handler has after its client has left: few, so that you can watch."""

DEADLINE: Final = 3.0
"""Seconds that ``/bounded`` has, if the middleware is on."""

REFRESH: Final = 0.1
"""The least number of seconds between two looks at the board."""

FOLDER: Final = Path(__file__).with_name("page")
PAGES: Final = {
    "/": ("index.html", b"text/html; charset=utf-8"),
    "/page.css": ("page.css", b"text/css; charset=utf-8"),
    "/page.js": ("page.js", b"text/javascript; charset=utf-8"),
}

board: Board = Board()


async def work(scope: Scope, receive: Receive, send: Send) -> None:
    """A handler at work: ``/query?key=...&guarded=1``, or another of `JOBS`."""
    asked = parse_qs(scope["query_string"].decode())
    job = scope["path"].strip("/")
    entry = board.enter(
        asked.get("key", [""])[0],
        job,
        guarded="guarded" in asked,
        seconds=SECONDS[job],
    )
    await handle(board, entry, receive, send)


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """The board, as server-sent events: one for each change, until the page leaves."""
    await start(send, 200, b"text/event-stream")
    while True:
        change = board.change
        data = f"data: {json.dumps(board.snapshot())}\n\n".encode()
        await send({"type": "http.response.body", "body": data, "more_body": True})
        await asyncio.sleep(REFRESH)
        await change.wait()


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """The page's own files."""
    name, kind = PAGES.get(scope["path"], ("", b""))
    if not name:
        await respond(send, 404, b"text/plain", b"There is nothing here.\n")
        return
    body = (FOLDER / name).read_bytes()
    await respond(send, 200, kind, body)


def deadline_of(scope: Scope) -> float | None:
    return DEADLINE if scope["path"] == "/bounded" else None


# The outer one guards the requests, the inner one the WebSockets.
switched_on: Final = DisconnectMiddleware(
    DisconnectMiddleware(work, websocket=True, grace=GRACE), deadline=deadline_of
)
switched_off: Final = DisconnectMiddleware(work, websocket=True, cancel=False)
always: Final = DisconnectMiddleware(events)


async def app(scope: Scope, receive: Receive, send: Send) -> Any:
    """The application: handlers, the live list, and the page."""
    if scope["type"] not in ("http", "websocket"):
        return
    websocket = scope["type"] == "websocket"
    job = scope["path"].strip("/")
    if job in (WEBSOCKETS if websocket else REQUESTS):
        guarded = "guarded" in parse_qs(scope["query_string"].decode())
        return await (switched_on if guarded else switched_off)(scope, receive, send)
    if websocket:
        return await send({"type": "websocket.close"})
    if scope["path"] == "/events":
        return await always(scope, receive, send)
    return await page(scope, receive, send)


async def start(send: Send, status: int, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def respond(send: Send, status: int, kind: bytes, body: bytes) -> None:
    await start(send, status, kind)
    await send({"type": "http.response.body", "body": body})

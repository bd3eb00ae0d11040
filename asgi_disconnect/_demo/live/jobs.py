"""What the handlers do: work that takes some seconds, step by step, and cleanup that takes one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final

from ..._disconnect import current_disconnect
from ..._types import Receive, Send
from .board import Board, Entry

STEP: Final = 0.1
CLEANUP: Final = 0.8
"""Seconds: long enough for the page to show it."""

TEXT: Final = (
    "Once there was a server that answered every question it was asked. It worked with care, and"
    " it worked to the end, for those who waited and for those who had long gone home. One day"
    " somebody told it: when nobody listens any more, you may stop. So it put its tools back in"
    " their places, and had time for those who were still there."
)
WORDS: Final = TEXT.split()


async def query(work: Callable[[], Awaitable[None]], receive: Receive, send: Send) -> None:
    """A slow query: nothing is sent before it is done."""
    for _ in range(round(SECONDS["query"] / STEP)):
        await work()
    await _start(send, b"application/json")
    await send({"type": "http.response.body", "body": json.dumps({"rows": 4711}).encode()})


async def stream(work: Callable[[], Awaitable[None]], receive: Receive, send: Send) -> None:
    """A streamed answer, word by word, like a language model's."""
    await _start(send, b"text/plain; charset=utf-8")
    for word in WORDS:
        await work()
        body = f"{word} ".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body"})


async def upload(work: Callable[[], Awaitable[None]], receive: Receive, send: Send) -> None:
    """An upload that is processed piece by piece, slower than it comes."""
    size = 0
    worked = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        while worked < min(size // UPLOAD_STEP, _UPLOAD_STEPS):
            await work()
            worked += 1
    for _ in range(worked, _UPLOAD_STEPS):  # smaller than the page's own
        await work()
    await _start(send, b"text/plain")
    await send({"type": "http.response.body", "body": f"{size} bytes".encode()})


async def alert(work: Callable[[], Awaitable[None]], receive: Receive, send: Send) -> None:
    """A WebSocket that only pushes: it watches a price, and has nothing to say for a long time.

    So nothing tells it that its client has gone: it never calls `receive()` again, and its next
    `send()` fails only on some servers.
    """
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "watching the price"})
    for _ in range(round(SECONDS["alert"] / STEP)):
        await work()
    try:
        await send({"type": "websocket.send", "text": "the price has fallen"})
        await send({"type": "websocket.close"})
    except OSError:  # nobody was there to be alerted, and all the work is done
        pass


class ClientLeft(Exception):
    """The client has left in the middle of its body."""


SECONDS: Final = {
    "query": 8.0,
    "bounded": 8.0,
    "stream": len(WORDS) * STEP,
    "upload": 8.0,
    "alert": 8.0,
}
UPLOAD_STEP: Final = 200_000
"""Bytes that are processed in a step: the 16 MB that the page sends are the whole work."""
_UPLOAD_STEPS: Final = round(SECONDS["upload"] / STEP)

REQUESTS: Final = {"query": query, "bounded": query, "stream": stream, "upload": upload}
"""``bounded`` has a deadline, which the middleware sets."""
WEBSOCKETS: Final = {"alert": alert}
JOBS: Final = REQUESTS | WEBSOCKETS


async def handle(board: Board, entry: Entry, receive: Receive, send: Send) -> None:
    """Do the job as any handler would, and tell the board about it."""

    async def work() -> None:
        await asyncio.sleep(STEP)
        board.work(entry, STEP)

    async def note() -> None:
        if disconnect.cause == "deadline":
            board.passed_deadline(entry)
        else:
            board.left(entry)

    disconnect = current_disconnect()
    disconnect.add_callback(note)
    try:
        await JOBS[entry.job](work, receive, send)
        board.ended(entry)
    except (asyncio.CancelledError, ClientLeft) as reason:
        board.stopped(entry)
        if isinstance(reason, asyncio.CancelledError):
            raise
    finally:
        if entry.running:
            await asyncio.sleep(CLEANUP)  # a connection on its way back to its pool
            board.cleaned_up(entry)


async def _start(send: Send, kind: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", kind), (b"cache-control", b"no-store")],
        }
    )

"""The server's side of a benchmark, and the handlers, without a socket: realistic, and cheap.

`receive` gives the request once and then waits, as a server's does while the client stays; `send`
takes everything.  Each request has a task of its own, as it has on every server: what a middleware
keeps per task is paid for per request.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]

SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8000),
    "client": ("127.0.0.1", 54321),
    "scheme": "http",
    "method": "GET",
    "root_path": "",
    "path": "/orders/42",
    "raw_path": b"/orders/42",
    "query_string": b"page=1",
    "headers": [
        (b"host", b"127.0.0.1:8000"),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"connection", b"keep-alive"),
        (b"user-agent", b"benchmark"),
    ],
    "state": {},
}
START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"2")],
}
BODY: Message = {"type": "http.response.body", "body": b"ok", "more_body": False}


class Server:
    """One request, as a server hands it to an application."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given = False

    async def receive(self) -> Message:
        if self._given:
            await asyncio.get_running_loop().create_future()
        self._given = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        pass


async def never_suspends(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(BODY)


async def reads(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send(START)
    await send(BODY)


async def suspends_once(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0)
    await send(START)
    await send(BODY)


async def takes_20_ms(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0.020)
    await send(START)
    await send(BODY)


async def one_by_one(app: App, requests: int) -> None:
    """Serve `requests`, each when the one before it has ended."""
    create_task: Any = asyncio.get_running_loop().create_task
    for _ in range(requests):
        server = Server()
        await create_task(app({**SCOPE}, server.receive, server.send))


async def all_at_once(app: App, requests: int) -> None:
    """Serve `requests`, all of them in flight at the same time."""
    create_task: Any = asyncio.get_running_loop().create_task
    servers = [Server() for _ in range(requests)]
    tasks = [create_task(app({**SCOPE}, one.receive, one.send)) for one in servers]
    for task in tasks:
        await task

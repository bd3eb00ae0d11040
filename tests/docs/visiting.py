"""One request or WebSocket of an application, without a server."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

HUNG = 5.0
"""Seconds: long enough that only what hangs reaches it."""


async def at_work() -> None:
    """When the handler is at work, and watched; for handlers that cannot say so."""
    await anyio.sleep(0.05)


async def visit(
    app: Any,
    path: str = "/",
    *,
    method: str = "GET",
    leave_when: Callable[[], Awaitable[object]] | None = at_work,
) -> list[dict[str, Any]]:
    """Send a request, leave at that moment, and return what was sent until its end."""
    messages = [{"type": "http.request"}]
    gone = anyio.Event()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, receive, send)
            if leave_when is not None:
                await leave_when()
                gone.set()
    return sent


async def visit_websocket(app: Any, path: str, *texts: str) -> list[dict[str, Any]]:
    """Open a WebSocket, send texts, leave when the app has sent one, and return what it sent."""
    messages = [{"type": "websocket.connect"}]
    messages += [{"type": "websocket.receive", "text": text} for text in texts]
    pushed = anyio.Event()
    gone = anyio.Event()
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await gone.wait()
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "websocket.send":
            pushed.set()

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "subprotocols": [],
    }
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, receive, send)
            await pushed.wait()
            gone.set()
    return sent

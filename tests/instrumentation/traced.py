"""A FastAPI application whose clients leave, to be traced by one library or another."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from ..core.scripted import HUNG, REQUEST, Server, http_scope

UNFINISHED: dict[str, Any] = {"type": "http.request", "body": b"half", "more_body": True}
PATHS = ["/works", "/reads", "/streams"]
"""Cancelled, told, and told or cancelled in the middle of a response."""


def application(**options: Any) -> FastAPI:
    """Endpoints that work until their client leaves, and one with a bug in its cleanup."""
    app = FastAPI(**options)

    @app.get("/works")
    async def works() -> None:
        await anyio.sleep_forever()

    @app.post("/reads")
    async def reads(request: Request) -> None:
        await request.body()

    @app.post("/mishandles")
    async def mishandles(request: Request) -> None:
        try:
            await request.body()
        except ClientDisconnect:
            raise ValueError("the bug") from None

    @app.get("/streams")
    async def streams() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"piece"
            await anyio.sleep_forever()

        return StreamingResponse(pieces())

    @app.get("/fails")
    async def fails() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("the bug")

    @app.get("/answers")
    async def answers() -> str:
        return "done"

    return app


async def visit(app: Any, path: str) -> None:
    """One request, whose client is gone when it has sent it, or half of its body."""
    reads = path in {"/reads", "/mishandles"}
    server = Server(UNFINISHED if reads else REQUEST)
    server.leave()
    scope: dict[str, Any] = {
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "POST" if reads else "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
    }
    with anyio.fail_after(HUNG):
        await app(http_scope(**scope), server.receive, server.send)

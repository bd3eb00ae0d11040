"""Litestar."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from litestar import Litestar, Request, Response, WebSocket, get, post, route, websocket
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import WebSocketDisconnect
from litestar.response import Stream

from ..journal import Journal
from . import Wrap


def build(journal: Journal, wrap: Wrap | None, variant: str = "") -> Litestar:
    @asynccontextmanager
    async def live(app: Litestar) -> AsyncIterator[None]:
        journal.note("startup")
        app.state.pool = "full"
        yield
        journal.note("shutdown")

    return Litestar(
        handlers(journal),
        middleware=[] if wrap is None else [wrap],
        lifespan=[live],
        openapi_config=None,
        logging_config=None,  # its own would take the place of pytest's
    )


def handlers(journal: Journal) -> list[Any]:
    @get("/quick")
    async def quick() -> Response[dict[str, bool]]:
        return Response({"quick": True}, headers={"x-quick": "yes"})

    @route("/slow", http_method=["GET", "POST"])
    async def slow() -> None:
        journal.note("started")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
            await checkpoint()
            journal.note("cleaned up")

    @get("/count")
    async def count() -> Stream:
        async def numbers() -> AsyncIterator[str]:
            for number in range(3):
                yield str(number)
                await checkpoint()

        return Stream(numbers())

    @get("/stream")
    async def stream() -> Stream:
        async def ticks() -> AsyncIterator[bytes]:
            try:
                yield b"tick"
                await anyio.sleep_forever()
            finally:
                journal.note("finally")

        return Stream(ticks())

    @post("/echo", status_code=200)
    async def echo(request: Request[Any, Any, Any]) -> bytes:
        return await request.body()

    @post("/late", status_code=200)
    async def late(request: Request[Any, Any, Any]) -> bytes:
        journal.note("started")
        await journal.leave_to("read")
        return await request.body()

    @get("/background")
    async def background() -> Response[bytes]:
        async def work() -> None:
            journal.note("background started")
            await journal.leave_to("finish")
            journal.note("background finished")

        journal.note("started")
        await journal.leave_to("respond")
        return Response(b"done", background=BackgroundTask(work))

    @get("/fails")
    async def fails() -> None:
        raise journal.failure

    @websocket("/socket")
    async def socket(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    @websocket("/pushes")
    async def pushes(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        try:
            journal.note("started")
            await socket.send_text("tick")
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
            await checkpoint()
            journal.note("cleaned up")

    async def note_texts(socket: WebSocket[Any, Any, Any]) -> None:
        try:
            while True:
                journal.note(await socket.receive_text())
        except WebSocketDisconnect:
            journal.note("told")
        await journal.leave_to("finish")
        journal.note("finished")

    @websocket("/listens")
    async def listens(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await note_texts(socket)

    @websocket("/catches-up")
    async def catches_up(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        journal.note("started")
        await journal.leave_to("read")
        await note_texts(socket)

    over_http = [quick, slow, count, stream, echo, late, background, fails]
    return [*over_http, socket, pushes, listens, catches_up]

"""Starlette, with or without a `BaseHTTPMiddleware` (variant "base") inside the stack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..journal import Journal
from . import Wrap


class AddsHeader(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers["x-base"] = "yes"
        return response


def build(journal: Journal, wrap: Wrap | None, variant: str = "") -> Starlette:
    middleware = []
    if wrap is not None:
        middleware.append(Middleware(wrap))
    if variant == "base":
        middleware.append(Middleware(AddsHeader))
    return Starlette(routes=routes(journal), middleware=middleware, lifespan=lifespan(journal))


def lifespan(journal: Journal) -> Any:
    @asynccontextmanager
    async def live(app: Any) -> AsyncIterator[dict[str, str]]:
        journal.note("startup")
        yield {"pool": "full"}
        journal.note("shutdown")

    return live


def routes(journal: Journal) -> list[Any]:
    async def quick(request: Request) -> Response:
        return JSONResponse({"quick": True}, headers={"x-quick": "yes"})

    class Slow(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            journal.note("started")
            try:
                await anyio.sleep_forever()
            finally:
                journal.note("finally")
                await checkpoint()
                journal.note("cleaned up")
            return Response()

        post = get

    async def count(request: Request) -> Response:
        async def numbers() -> AsyncIterator[str]:
            for number in range(3):
                yield str(number)
                await checkpoint()

        return StreamingResponse(numbers())

    async def stream(request: Request) -> Response:
        async def ticks() -> AsyncIterator[bytes]:
            try:
                yield b"tick"
                await anyio.sleep_forever()
            finally:
                journal.note("finally")

        return StreamingResponse(ticks())

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    async def late(request: Request) -> Response:
        journal.note("started")
        await journal.leave_to("read")
        return Response(b"".join([piece async for piece in request.stream()]))

    async def background(request: Request) -> Response:
        async def work() -> None:
            journal.note("background started")
            await journal.leave_to("finish")
            journal.note("background finished")

        journal.note("started")
        await journal.leave_to("respond")
        return Response(b"done", background=BackgroundTask(work))

    async def polls(request: Request) -> Response:
        journal.note("started")
        while not await request.is_disconnected():  # noqa: ASYNC110 - there is no event for it
            await anyio.sleep(0.001)
        journal.note("noticed")
        return Response()

    async def fails(request: Request) -> Response:
        raise journal.failure

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    async def pushes(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            journal.note("started")
            await websocket.send_text("tick")
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
            await checkpoint()
            journal.note("cleaned up")

    async def note_texts(websocket: WebSocket) -> None:
        try:
            while True:
                journal.note(await websocket.receive_text())
        except WebSocketDisconnect:
            journal.note("told")
        await journal.leave_to("finish")
        journal.note("finished")

    async def listens(websocket: WebSocket) -> None:
        await websocket.accept()
        await note_texts(websocket)

    async def catches_up(websocket: WebSocket) -> None:
        await websocket.accept()
        journal.note("started")
        await journal.leave_to("read")
        await note_texts(websocket)

    return [
        Route("/quick", quick),
        Route("/slow", Slow),
        Route("/count", count),
        Route("/stream", stream),
        Route("/echo", echo, methods=["POST"]),
        Route("/late", late, methods=["POST"]),
        Route("/background", background),
        Route("/polls", polls),
        Route("/fails", fails),
        WebSocketRoute("/socket", socket),
        WebSocketRoute("/pushes", pushes),
        WebSocketRoute("/listens", listens),
        WebSocketRoute("/catches-up", catches_up),
    ]

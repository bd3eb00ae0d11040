"""FastAPI."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from fastapi import BackgroundTasks, FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse

from ..journal import Journal
from . import Wrap
from .on_starlette import lifespan


def build(journal: Journal, wrap: Wrap | None, variant: str = "") -> FastAPI:
    app = FastAPI(lifespan=lifespan(journal))
    if wrap is not None:
        # FastAPI's types want a class here; any callable that takes `app` does.
        app.add_middleware(wrap)  # type: ignore[arg-type]

    @app.get("/quick")
    async def quick(response: Response) -> dict[str, bool]:
        response.headers["x-quick"] = "yes"
        return {"quick": True}

    @app.api_route("/slow", methods=["GET", "POST"])
    async def slow() -> None:
        journal.note("started")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
            await checkpoint()
            journal.note("cleaned up")

    @app.get("/count")
    async def count() -> StreamingResponse:
        async def numbers() -> AsyncIterator[str]:
            for number in range(3):
                yield str(number)
                await checkpoint()

        return StreamingResponse(numbers())

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def ticks() -> AsyncIterator[bytes]:
            try:
                yield b"tick"
                await anyio.sleep_forever()
            finally:
                journal.note("finally")

        return StreamingResponse(ticks())

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.post("/late")
    async def late(request: Request) -> Response:
        journal.note("started")
        await journal.leave_to("read")
        return Response(await request.body())

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> PlainTextResponse:
        async def work() -> None:
            journal.note("background started")
            await journal.leave_to("finish")
            journal.note("background finished")

        tasks.add_task(work)
        journal.note("started")
        await journal.leave_to("respond")
        return PlainTextResponse("done")

    @app.get("/polls")
    async def polls(request: Request) -> None:
        journal.note("started")
        while not await request.is_disconnected():  # noqa: ASYNC110 - there is no event for it
            await anyio.sleep(0.001)
        journal.note("noticed")

    @app.get("/fails")
    async def fails() -> Any:
        raise journal.failure

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    @app.websocket("/pushes")
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

    @app.websocket("/listens")
    async def listens(websocket: WebSocket) -> None:
        await websocket.accept()
        await note_texts(websocket)

    @app.websocket("/catches-up")
    async def catches_up(websocket: WebSocket) -> None:
        await websocket.accept()
        journal.note("started")
        await journal.leave_to("read")
        await note_texts(websocket)

    return app

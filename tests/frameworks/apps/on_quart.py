"""Quart, and quart-trio (variant "trio").

Quart reads `receive` itself while a handler works and cancels the handler when the client leaves,
so the middleware tells it (contract §4.2) and has nothing to do.
"""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from quart import Quart, Response, request, websocket

from ..journal import Journal
from . import Wrap


def build(journal: Journal, wrap: Wrap | None, variant: str = "") -> Quart:
    if variant == "trio":
        from quart_trio import QuartTrio

        app: Quart = QuartTrio(__name__)
    else:
        app = Quart(__name__)
    add_routes(app, journal)
    if wrap is not None:
        app.asgi_app = wrap(app.asgi_app)  # type: ignore[method-assign]
    return app


def add_routes(app: Quart, journal: Journal) -> None:
    @app.before_serving
    async def startup() -> None:
        journal.note("startup")

    @app.after_serving
    async def shutdown() -> None:
        journal.note("shutdown")

    @app.get("/quick")
    async def quick() -> Any:
        return {"quick": True}, 200, {"x-quick": "yes"}

    @app.route("/slow", methods=["GET", "POST"])
    async def slow() -> None:
        journal.note("started")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
            await checkpoint()
            journal.note("cleaned up")

    @app.get("/count")
    async def count() -> Any:
        async def numbers() -> AsyncIterator[str]:
            for number in range(3):
                yield str(number)
                await checkpoint()

        return numbers()

    @app.get("/stream")
    async def stream() -> Any:
        async def ticks() -> AsyncIterator[bytes]:
            try:
                yield b"tick"
                await anyio.sleep_forever()
            finally:
                journal.note("finally")

        return ticks()

    @app.post("/echo")
    async def echo() -> Any:
        return await request.get_data()

    @app.post("/late")
    async def late() -> Any:
        journal.note("started")
        await journal.leave_to("read")
        return await request.get_data()

    @app.get("/background")
    async def background() -> Any:
        async def work() -> None:
            journal.note("background started")
            await journal.leave_to("finish")
            journal.note("background finished")

        journal.note("started")
        await journal.leave_to("respond")
        app.add_background_task(work)
        return Response(b"done")

    @app.get("/fails")
    async def fails() -> Any:
        raise journal.failure

    @app.websocket("/socket")
    async def socket() -> None:
        await websocket.send(await websocket.receive())

    @app.websocket("/pushes")
    async def pushes() -> None:
        try:
            journal.note("started")
            await websocket.send("tick")
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
            await checkpoint()
            journal.note("cleaned up")

    async def note_texts() -> None:
        while True:  # Quart cancels it
            journal.note(await websocket.receive())

    @app.websocket("/listens")
    async def listens() -> None:
        await note_texts()

    @app.websocket("/catches-up")
    async def catches_up() -> None:
        journal.note("started")
        await journal.leave_to("read")
        await note_texts()

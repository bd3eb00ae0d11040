"""Apps for the storm beside those of `tests.frameworks`: FastAPI's threads, and Django."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import anyio


def fastapi_with_threads(journal: Any) -> Any:
    """Sync endpoints, dependencies, streams and background tasks: what FastAPI runs in threads."""
    import time

    from fastapi import BackgroundTasks, Depends, FastAPI, Response
    from fastapi.responses import StreamingResponse

    def borrowed() -> Iterator[str]:
        journal.note("taken")
        try:
            yield "a file"
        finally:
            journal.note("released")

    app = FastAPI()
    Borrowed = Annotated[str, Depends(borrowed)]

    @app.api_route("/sync", methods=["GET", "POST"])
    def sync(one: Borrowed) -> str:
        time.sleep(0.002)
        return one

    @app.get("/sync-stream")
    def sync_stream() -> StreamingResponse:
        def pieces() -> Iterator[bytes]:
            for _ in range(5):
                time.sleep(0.001)
                yield b"x"

        return StreamingResponse(pieces())

    @app.get("/background")
    def background(tasks: BackgroundTasks) -> Response:
        def work() -> None:
            journal.note("background started")
            time.sleep(0.002)
            journal.note("background finished")

        tasks.add_task(work)
        return Response(b"done", background=tasks)

    @app.get("/slow")
    async def slow(one: Borrowed) -> None:
        journal.note("started")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
            await anyio.sleep(0.001)
            journal.note("cleaned up")

    return app


def django(journal: Any) -> Any:
    """Async and sync views, streams, and a body that is read."""
    sys.path.append(str(Path(__file__).parent.parent / "frameworks" / "on_django"))
    import django as package
    import pytest

    if package.VERSION < (6, 0):
        pytest.skip("Django 5 leaves tasks behind when it is cancelled from outside, bare too")
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
    from django_app import handler_for

    async def slow(request: HttpRequest, anything: str) -> HttpResponse:
        journal.note("started")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
            await anyio.sleep(0.001)
            journal.note("cleaned up")
        return HttpResponse()

    def sync(request: HttpRequest, anything: str) -> HttpResponse:
        return HttpResponse(b"%d" % len(request.body))

    async def echo(request: HttpRequest, anything: str) -> HttpResponse:
        await anyio.sleep(0.002)
        return HttpResponse(request.body)

    async def stream(request: HttpRequest, anything: str) -> StreamingHttpResponse:
        async def ticks() -> AsyncIterator[bytes]:
            journal.note("taken")
            try:
                yield b"tick"
                await anyio.sleep_forever()
            finally:
                journal.note("released")

        return StreamingHttpResponse(ticks())

    handlers = {f"/{view.__name__}": handler_for(view) for view in (slow, sync, echo, stream)}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await handlers[scope["path"]](scope, receive, send)

    return app

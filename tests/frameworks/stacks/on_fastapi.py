"""FastAPI: dependencies with `yield`, its own streams, and `@app.middleware("http")`."""

import functools
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Annotated, Any

import anyio
from fastapi import BackgroundTasks, Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from .on_starlette import answer_500
from .work import clean_up, note_of_request, work, work_afterwards


async def session() -> AsyncIterator[str]:
    note = note_of_request.get()
    note("working")
    try:
        yield "session"
    finally:
        await clean_up(note)


def with_dependency(app: FastAPI) -> None:
    @app.get("/")
    async def waits(session: Annotated[str, Depends(session)]) -> None:
        await anyio.sleep_forever()


def handler(app: FastAPI) -> None:
    app.get("/")(work)


def sse(app: FastAPI) -> None:
    from fastapi.sse import EventSourceResponse

    @app.get("/", response_class=EventSourceResponse)
    async def events() -> AsyncIterable[dict[str, int]]:
        yield {"number": 1}
        await work()


def sse_with_background(app: FastAPI) -> None:
    from fastapi.sse import EventSourceResponse

    @app.get("/", response_class=EventSourceResponse)
    async def events(tasks: BackgroundTasks) -> AsyncIterable[dict[str, int]]:
        tasks.add_task(work_afterwards)
        yield {"number": 1}
        await work()


def jsonl(app: FastAPI) -> None:
    @app.get("/")
    async def lines() -> AsyncIterable[dict[str, int]]:
        yield {"number": 1}
        await work()


def raw(app: FastAPI) -> None:
    @app.get("/", response_class=StreamingResponse)
    async def pieces() -> AsyncIterable[bytes]:
        yield b"piece"
        await work()


def build(add_route: Callable[[FastAPI], None], *, middleware: bool) -> FastAPI:
    app = FastAPI(exception_handlers={Exception: answer_500})
    add_route(app)
    if middleware:

        @app.middleware("http")
        async def passes(request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            response.headers["x-base"] = "yes"
            return response

    return app


ROUTES = {
    "fastapi": handler,
    "fastapi-dependency": with_dependency,
    "fastapi-sse": sse,
    "fastapi-sse-background": sse_with_background,
    "fastapi-jsonl": jsonl,
    "fastapi-raw": raw,
}

STACKS = {
    name + suffix: functools.partial(build, add_route, middleware=bool(suffix))
    for name, add_route in ROUTES.items()
    for suffix in ("", "-http-mw")
}

"""Starlette: `BaseHTTPMiddleware`s around a handler, and around streams."""

from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from .on_nothing import child
from .work import clean_up, endless_pieces, note_of_request, pieces, work, work_afterwards


class AddsHeader(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-base"] = "yes"
        return response


async def answer_500(request: Request, error: Exception) -> Response:
    """The user's own page for what should never have been raised."""
    note_of_request.get()(f"error: a 500 for {error!r}")
    return Response(status_code=500)


def app(endpoint: Any, *middleware: Any) -> Starlette:
    return Starlette(
        routes=[Route("/", endpoint, methods=["GET", "POST"])],
        middleware=[Middleware(each) for each in middleware],
        exception_handlers={Exception: answer_500},
    )


async def handler(request: Request) -> Response:
    await work()
    return Response()


async def handler_with_body(request: Request) -> Response:
    try:
        await request.body()
    except ClientDisconnect:
        return Response()
    await work()
    return Response()


async def handler_with_child(request: Request) -> Response:
    await child()
    return Response()


async def stream(request: Request) -> Response:
    return StreamingResponse(pieces())


async def stream_with_background(request: Request) -> Response:
    return StreamingResponse(pieces(), background=BackgroundTask(work_afterwards))


class Metered(StreamingResponse):
    """One that has something to do when the last piece has been sent, or none will be any more."""

    async def stream_response(self, send: Any) -> None:
        note = note_of_request.get()
        note("working")
        try:
            await super().stream_response(send)
        finally:
            await clean_up(note)


async def stream_in_send(request: Request) -> Response:
    return Metered(endless_pieces())


async def stream_at_yield(request: Request) -> Response:
    note = note_of_request.get()

    async def generator() -> Any:
        note("working")
        try:
            async for piece in endless_pieces():
                yield piece
        finally:
            await clean_up(note)

    return StreamingResponse(generator())


STACKS = {
    "base1": lambda: app(handler, AddsHeader),
    "base2": lambda: app(handler, AddsHeader, AddsHeader),
    "base1-body": lambda: app(handler_with_body, AddsHeader),
    "base1-child": lambda: app(handler_with_child, AddsHeader),
    "gzip-base1": lambda: app(handler, GZipMiddleware, AddsHeader),
    "stream": lambda: app(stream),
    "stream-background": lambda: app(stream_with_background),
    "base1-stream-background": lambda: app(stream_with_background, AddsHeader),
    "stream-in-send": lambda: app(stream_in_send),
    "stream-at-yield": lambda: app(stream_at_yield),
    "base1-stream": lambda: app(stream, AddsHeader),
    "base2-stream": lambda: app(stream, AddsHeader, AddsHeader),
    "base1-stream-in-send": lambda: app(stream_in_send, AddsHeader),
    "base2-stream-in-send": lambda: app(stream_in_send, AddsHeader, AddsHeader),
}

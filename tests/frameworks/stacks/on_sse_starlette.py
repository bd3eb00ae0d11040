"""sse-starlette."""

from collections.abc import AsyncIterator

from sse_starlette import EventSourceResponse
from starlette.background import BackgroundTask
from starlette.requests import Request

from .on_starlette import AddsHeader, app
from .work import work, work_afterwards


async def events(request: Request) -> EventSourceResponse:
    async def generator() -> AsyncIterator[str]:
        yield "one"
        await work()

    return EventSourceResponse(generator())


async def events_with_background(request: Request) -> EventSourceResponse:
    response = await events(request)
    response.background = BackgroundTask(work_afterwards)
    return response


STACKS = {
    "sse-starlette-background": lambda: app(events_with_background),
    "sse-starlette": lambda: app(events),
    "base1-sse-starlette": lambda: app(events, AddsHeader),
}

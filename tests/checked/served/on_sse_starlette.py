"""sse-starlette: events as its README has them, and cleanup after them."""

import asyncio

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from asgi_disconnect import DisconnectMiddleware


async def events():
    try:
        for number in range(30):
            yield {"data": number}
            await asyncio.sleep(1)
    finally:
        await asyncio.sleep(0.1)


async def serve_events(request):
    return EventSourceResponse(events())


app = Starlette(routes=[Route("/", serve_events)], middleware=[Middleware(DisconnectMiddleware)])

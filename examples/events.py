"""Server-sent events: a subscriber is forgotten as soon as its client leaves.

    uvicorn --app-dir examples events:app
    curl -N http://127.0.0.1:8000/events                        # and Ctrl-C, some time later
    curl -X POST -d hello http://127.0.0.1:8000/publish
    curl http://127.0.0.1:8000/subscribers

Without the middleware, a departure is noticed when something is sent, if the framework listens, or
never.  With it, how the stream waits does not matter: it is told or cancelled, and its `finally`
runs.
"""

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from asgi_disconnect import DisconnectMiddleware

subscribers: set[asyncio.Queue[str]] = set()


async def subscription() -> AsyncIterator[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    subscribers.add(queue)
    try:
        yield ": welcome\n\n"
        while True:
            yield f"data: {await queue.get()}\n\n"
    finally:
        subscribers.discard(queue)


async def events(request: Request) -> Response:
    return StreamingResponse(subscription(), media_type="text/event-stream")


async def publish(request: Request) -> Response:
    text = (await request.body()).decode()
    for queue in subscribers:
        queue.put_nowait(text)
    return Response(status_code=204)


async def count(request: Request) -> Response:
    return JSONResponse(len(subscribers))


app = Starlette(
    routes=[
        Route("/events", events),
        Route("/publish", publish, methods=["POST"]),
        Route("/subscribers", count),
    ],
    middleware=[Middleware(DisconnectMiddleware)],
)

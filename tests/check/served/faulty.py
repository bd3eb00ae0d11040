"""Apps with faults that `check` is to name."""

import asyncio
import contextlib
import logging
import time

import anyio
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel

from asgi_disconnect import DisconnectMiddleware

app = FastAPI()


class Item(BaseModel):
    name: str


@app.get("/cleans-up")
async def cleans_up():
    try:
        await asyncio.sleep(3600)
    finally:
        await give_back()


async def give_back():
    await asyncio.sleep(0.2)
    await asyncio.sleep(0.2)


async def pieces():
    try:
        yield b"piece"
        await asyncio.sleep(3600)
    finally:
        await give_back()


@app.get("/stream")
async def stream():
    return StreamingResponse(pieces())


@app.get("/in-a-group-of-its-own")
async def in_a_group_of_its_own():
    """Not a group of the request's task: what is in it is cancelled as anyio does."""

    async def work():
        async with anyio.create_task_group() as group:
            group.start_soon(cleans_up)

    working = asyncio.create_task(work())
    try:
        await asyncio.sleep(3600)
    finally:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working


@app.get("/swallows")
async def swallows():
    for _ in range(100):
        try:
            await asyncio.sleep(1)
        except BaseException:
            continue


@app.get("/in-a-thread")
def in_a_thread():
    time.sleep(2)


@app.get("/blocks")
async def blocks():
    await asyncio.sleep(0.3)
    time.sleep(2.5)  # noqa: ASYNC251 - that is the fault
    await asyncio.sleep(10)


@app.post("/items")
async def items(item: Item):
    await asyncio.sleep(3600)


@app.get("/cleans-up-long")
async def cleans_up_long():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(6)


@app.get("/sound")
async def sound():
    await asyncio.sleep(3600)


@app.post("/quick")
async def quick():
    return "done"


requests = []


@app.get("/complains-of-many")
async def complains_of_many():
    """The app's own limit, which the second half meets."""
    requests.append("one")
    if len(requests) > 2:
        logging.error("these are many requests")
    await asyncio.sleep(3600)


@app.get("/refuses-many")
async def refuses_many():
    """Likewise."""
    requests.append("one")
    if len(requests) > 2:
        return PlainTextResponse("too many", 429)
    await asyncio.sleep(3600)


@app.get("/complains-of-departures")
async def complains_of_departures():
    try:
        await asyncio.sleep(3600)
    except BaseException:
        logging.error("it has been cancelled")
        raise


class Hiding:
    """Keeps the disconnect to itself."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        messages = [await receive()]

        async def hidden_receive():
            if messages:
                return messages.pop()
            await asyncio.sleep(3600)

        await self.app(scope, hidden_receive, send)


hiding = Hiding(DisconnectMiddleware(app))


with_middleware = FastAPI()
with_middleware.mount("/", app)


@with_middleware.middleware("http")
async def adds_a_header(request, call_next):
    response = await call_next(request)
    response.headers["x-added"] = "yes"
    return response


behind_a_middleware = DisconnectMiddleware(with_middleware)
cuts_off = DisconnectMiddleware(with_middleware, cleanup_timeout=0)
cuts_off_late = DisconnectMiddleware(app, cleanup_timeout=0.1)


def make_app():
    return app


def make_app_from(settings=None):
    return app

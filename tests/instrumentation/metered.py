"""An app for Prometheus to scrape, which uvicorn serves: what test_dashboard.py asks about."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import make_asgi_app

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.instrumentation.prometheus import PrometheusHook

USUAL = 0.5
"""Seconds that a report takes."""

handlers = FastAPI()
running = 0


@asynccontextmanager
async def counted() -> AsyncIterator[None]:
    global running
    running += 1
    try:
        yield
    finally:
        running -= 1


@handlers.get("/reports/{year}")
async def report(year: int) -> int:
    async with counted():
        await asyncio.sleep(USUAL)
    return year


@handlers.get("/stubborn")
async def stubborn(request: Request, gently: bool = False) -> None:
    """It is told, and does not end."""
    if gently:
        return
    async with counted():
        while (await request.receive())["type"] != "http.disconnect":
            pass
        await asyncio.sleep(3600)


@handlers.get("/faulty")
async def faulty() -> None:
    async with counted():
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("the cleanup's")


guarded = DisconnectMiddleware(
    handlers, grace=0.2, watch_after=0, on_disconnect=PrometheusHook(requests=True)
)
metrics: Any = make_asgi_app()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The scrapes are not guarded, and so not counted."""
    if scope["type"] == "http" and scope["path"] == "/running":
        await JSONResponse(running)(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == "/metrics":
        await metrics(scope, receive, send)
    else:
        await guarded(scope, receive, send)

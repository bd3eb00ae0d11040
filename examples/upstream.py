"""A request to another service gets the time that is left, and tells that service so.

    python -m pip install asgi-disconnect starlette uvicorn httpx
    uvicorn --app-dir examples upstream:app
    curl -i -H "connect-timeout-ms: 2000" http://127.0.0.1:8000/     # 503 after 1.8 seconds
    curl http://127.0.0.1:8000/stock/calls                           # and nobody counts any more

The stock is the other service; here it is part of the same program.  It gets nine tenths of the
time, which leaves some for our own answer.
"""

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi_disconnect import DisconnectMiddleware, current_disconnect
from asgi_disconnect.deadlines import client_deadline

counting = 0


async def shop(request: Request) -> Response:
    seconds = 0.9 * current_disconnect().remaining()
    headers = {"connect-timeout-ms": str(max(1, int(1000 * seconds)))}
    try:
        async with asyncio.timeout(seconds), httpx.AsyncClient(timeout=seconds) as client:
            answer = await client.get(str(request.url_for("stock")), headers=headers)
            answer.raise_for_status()
    except (TimeoutError, httpx.HTTPError):
        return JSONResponse({"stock": "unknown"}, status_code=503)
    return JSONResponse({"stock": answer.json()})


async def stock(request: Request) -> Response:
    global counting
    counting += 1
    try:
        await asyncio.sleep(60)  # counts everything
    finally:
        counting -= 1
    return JSONResponse(4711)


async def calls(request: Request) -> Response:
    return JSONResponse(counting)


app = Starlette(
    routes=[Route("/", shop), Route("/stock", stock), Route("/stock/calls", calls)],
    middleware=[Middleware(DisconnectMiddleware, deadline=client_deadline(at_most=10))],
)

"""A report that nobody waits for is not written; one that is being stored is stored completely.

    uvicorn --app-dir examples report:app
    curl --max-time 1 -X POST http://127.0.0.1:8000/reports       # leaves while it is written
    curl --max-time 2.5 -X POST http://127.0.0.1:8000/reports     # leaves while it is stored
    curl http://127.0.0.1:8000/reports

A `critical()` block finishes before any cancellation is delivered.
"""

import asyncio

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi_disconnect import DisconnectMiddleware, current_disconnect

archive: list[str] = []
invoices: list[str] = []
state = "idle"


async def create(request: Request) -> Response:
    global state
    try:
        state = "writing"
        pages = []
        for number in range(20):
            await asyncio.sleep(0.1)  # when the client leaves, the work ends here
            pages.append(f"page {number}")
        async with current_disconnect().critical():
            state = "storing"
            archive.append(f"{len(pages)} pages")
            await asyncio.sleep(1)  # the archive and the invoices are far away
            invoices.append("one report")
        return Response(status_code=201)  # to nobody, perhaps
    finally:
        state = "idle"


async def show(request: Request) -> Response:
    return JSONResponse({"archive": archive, "invoices": invoices, "state": state})


app = Starlette(
    routes=[Route("/reports", create, methods=["POST"]), Route("/reports", show)],
    middleware=[Middleware(DisconnectMiddleware)],
)

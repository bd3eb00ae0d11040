"""Litestar: a handler with cleanup, and a stream."""

import asyncio

from litestar import Litestar, get
from litestar.response import Stream

from asgi_disconnect import DisconnectMiddleware


@get("/")
async def work() -> str:
    try:
        await asyncio.sleep(30)
    finally:
        await asyncio.sleep(0.1)
    return "done"


@get("/stream")
async def stream() -> Stream:
    async def pieces():
        try:
            for _ in range(30):
                yield b"piece"
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(0.1)

    return Stream(pieces())


app = DisconnectMiddleware(Litestar([work, stream]))

"""`examples/llm.py`, with the upstream opened in the endpoint: what its page warns of."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from starlette.background import BackgroundTask

from asgi_disconnect import DisconnectMiddleware

client = AsyncOpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key="none")
state = {"between": 0, "left": 0}
app = FastAPI()
app.add_middleware(DisconnectMiddleware)
gc.disable()  # so that nothing depends on when the collector runs


async def open_upstream() -> Any:
    return await client.chat.completions.create(
        model="counter", messages=[{"role": "user", "content": "why"}], stream=True
    )


async def relay(stream: Any) -> AsyncIterator[str]:
    try:
        async for chunk in stream:
            yield chunk.choices[0].delta.content
    finally:
        await stream.close()


async def wait_between() -> None:
    """For what a real endpoint does after it has opened the upstream."""
    state["between"] += 1
    try:
        await asyncio.sleep(60)
    finally:
        state["left"] += 1


@app.get("/finally")
async def closed_by_finally() -> StreamingResponse:
    stream = await open_upstream()
    await wait_between()
    return StreamingResponse(relay(stream))


@app.get("/background")
async def closed_in_the_background() -> StreamingResponse:
    stream = await open_upstream()
    await wait_between()
    return StreamingResponse(relay(stream), background=BackgroundTask(stream.close))


@app.get("/state")
async def show() -> dict[str, int]:
    return state

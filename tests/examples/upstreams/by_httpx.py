"""`examples/llm.py`, with httpx in the place of openai's client."""

import os
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from asgi_disconnect import DisconnectMiddleware

client = httpx.AsyncClient(base_url=os.environ["OPENAI_BASE_URL"], trust_env=False, timeout=60)
app = FastAPI()
app.add_middleware(DisconnectMiddleware)


async def relay() -> AsyncIterator[str]:
    async with client.stream("POST", "/chat/completions", json={"stream": True}) as answer:
        async for text in answer.aiter_text():
            yield text


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(relay())


@app.get("/whole")
async def whole() -> str:
    return (await client.post("/chat/completions", json={})).text

"""A streamed answer from a server with OpenAI's API, which stops when the reader leaves.

    python -m pip install asgi-disconnect fastapi uvicorn openai
    uvicorn --app-dir examples llm_upstream:app --port 8001         # or vLLM, or any other
    export OPENAI_BASE_URL=http://127.0.0.1:8001/v1
    uvicorn --app-dir examples llm:app
    curl -N "http://127.0.0.1:8000/stream?question=why"             # and Ctrl-C
    curl http://127.0.0.1:8001/generations                          # none is running
    curl http://127.0.0.1:8000/usage                                # what the reader got is known

The generator opens the upstream itself: opened in the endpoint, it would be lost if the reader left
before the generator starts.
"""

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

from asgi_disconnect import DisconnectMiddleware, current_disconnect

client = AsyncOpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8001/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
)
model = os.environ.get("OPENAI_MODEL", "counter")
usage: list[int] = []


async def bill(pieces: int) -> None:
    await asyncio.sleep(0.01)  # a database, in real life
    usage.append(pieces)


async def relay(question: str, length: int) -> AsyncIterator[str]:
    disconnect = current_disconnect()
    pieces = 0
    try:
        async with await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": question}],
            max_tokens=length,
            stream=True,
        ) as stream:
            async for chunk in stream:
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    pieces += 1
                    yield text
    finally:
        async with disconnect.critical():
            await bill(pieces)


app = FastAPI()
app.add_middleware(DisconnectMiddleware)


@app.get("/stream")
async def stream(question: str, length: int = 1000) -> StreamingResponse:
    return StreamingResponse(relay(question, length), media_type="text/plain")


@app.get("/whole")
async def whole(question: str, length: int = 1000) -> str | None:
    answer = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], max_tokens=length
    )
    return answer.choices[0].message.content


@app.get("/usage")
async def show() -> list[int]:
    return usage

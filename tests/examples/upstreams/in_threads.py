"""openai's sync client: what the docs say of threads and of sync generators."""

import gc
import os
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import OpenAI

from asgi_disconnect import Disconnect, DisconnectMiddleware, current_disconnect

client = OpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key="none")
asked: Any = {"model": "counter", "messages": [{"role": "user", "content": "why"}]}
state = {"calls": 0, "pieces": 0, "cleaned up": 0}
app = FastAPI()
if "BARE" not in os.environ:
    app.add_middleware(DisconnectMiddleware)
gc.disable()  # the test says when the collector's turn comes


@app.get("/call")
def call() -> str | None:
    answer = client.chat.completions.create(**asked, max_tokens=50)
    state["calls"] += 1
    return answer.choices[0].message.content  # type: ignore[no-any-return]


@app.get("/asking")
def ask() -> str:
    disconnect = current_disconnect()
    text = ""
    with client.chat.completions.create(**asked, stream=True) as stream:
        for chunk in stream:
            disconnect.raise_if_set()
            text += chunk.choices[0].delta.content
    return text


def relay(disconnect: Disconnect | None = None) -> Iterator[str]:
    try:
        with client.chat.completions.create(**asked, stream=True) as stream:
            for chunk in stream:
                if disconnect:
                    disconnect.raise_if_set()
                state["pieces"] += 1
                yield chunk.choices[0].delta.content
    finally:
        state["cleaned up"] += 1


@app.get("/generator")
async def generator() -> StreamingResponse:
    return StreamingResponse(relay())


@app.get("/asking-generator")
async def asking_generator() -> StreamingResponse:
    return StreamingResponse(relay(current_disconnect()))


@app.get("/state")
async def show() -> dict[str, int]:
    return state


@app.get("/collect")
async def collect() -> int:
    return gc.collect()

"""A stand-in for a server with OpenAI's API, such as vLLM: it counts until its client leaves.

    python -m pip install asgi-disconnect starlette uvicorn
    uvicorn --app-dir examples llm_upstream:app --port 8001
    curl http://127.0.0.1:8001/generations

`examples/llm.py` calls it.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from asgi_disconnect import DisconnectMiddleware

state = {"running": 0, "stopped": 0, "finished": 0, "tokens": 0}


async def generate(length: int) -> AsyncIterator[str]:
    state["running"] += 1
    end = "stopped"
    try:
        for number in range(length):
            await asyncio.sleep(0.02)
            state["tokens"] += 1
            yield f"{number} "
        end = "finished"
    finally:
        state["running"] -= 1
        state[end] += 1
        print(f"generation {end}, {state['tokens']} tokens so far")


def chunk(kind: str, **choice: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": kind,
        "created": int(time.time()),
        "model": "counter",
        "choices": [{"index": 0, "finish_reason": None, **choice}],
    }


async def events(length: int) -> AsyncIterator[str]:
    async for text in generate(length):
        piece = chunk("chat.completion.chunk", delta={"role": "assistant", "content": text})
        yield f"data: {json.dumps(piece)}\n\n"
    yield "data: [DONE]\n\n"


async def completions(request: Request) -> Response:
    asked = await request.json()
    length = asked.get("max_tokens", 10_000)
    if asked.get("stream"):
        return StreamingResponse(events(length), media_type="text/event-stream")
    text = "".join([piece async for piece in generate(length)])
    message = {"role": "assistant", "content": text}
    return JSONResponse(chunk("chat.completion", message=message, finish_reason="stop"))


async def generations(request: Request) -> Response:
    return JSONResponse(state)


app = Starlette(
    routes=[
        Route("/v1/chat/completions", completions, methods=["POST"]),
        Route("/generations", generations),
    ],
    middleware=[Middleware(DisconnectMiddleware)],
)

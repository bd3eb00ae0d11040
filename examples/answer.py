"""A language model's answer, streamed: when the reader leaves, the model stops generating.

    uvicorn --app-dir examples answer:app
    curl -N "http://127.0.0.1:8000/answer?question=why"        # and Ctrl-C
    curl http://127.0.0.1:8000/model

This model only counts, but you call it like any other: through an async generator, whose `finally`
frees its place on the GPU.
"""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from asgi_disconnect import DisconnectMiddleware


class Model:
    def __init__(self) -> None:
        self.generating = 0
        self.tokens = 0

    async def generate(self, question: str) -> AsyncIterator[str]:
        self.generating += 1
        try:
            yield f"You ask {question}. "
            while True:
                await asyncio.sleep(0.05)
                self.tokens += 1
                yield f"Because of {self.tokens}. "
        finally:
            self.generating -= 1


model = Model()
app = FastAPI()
app.add_middleware(DisconnectMiddleware)


@app.get("/answer")
async def answer(question: str) -> StreamingResponse:
    return StreamingResponse(model.generate(question), media_type="text/plain")


@app.get("/model")
async def show() -> dict[str, int]:
    return {"generating": model.generating, "tokens": model.tokens}

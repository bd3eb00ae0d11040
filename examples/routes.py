"""Choose which requests to guard: abandoned searches stop, payments always finish.

uvicorn --app-dir examples routes:app
curl --max-time 1 http://127.0.0.1:8000/search        # leaves after a second
curl --max-time 1 http://127.0.0.1:8000/payments
curl http://127.0.0.1:8000/log                        # a second later
"""

import asyncio
from typing import Any

from fastapi import FastAPI

from asgi_disconnect import DisconnectMiddleware

log: list[str] = []


def may_be_abandoned(scope: dict[str, Any]) -> bool:
    return not scope["path"].startswith("/payments")


app = FastAPI()
app.add_middleware(DisconnectMiddleware, only=may_be_abandoned)


async def work(name: str) -> None:
    log.append(f"{name} started")
    try:
        await asyncio.sleep(2)
    except asyncio.CancelledError:
        log.append(f"{name} cancelled")
        raise
    log.append(f"{name} finished")


@app.get("/search")
async def search() -> str:
    await work("search")
    return "found"


@app.get("/payments")
async def payments() -> str:
    await work("payment")
    return "paid"


@app.get("/log")
async def show() -> list[str]:
    return log

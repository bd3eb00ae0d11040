"""An app that reads its request and answers."""

from typing import Any

from ..scripted import LAST, REQUEST, START


async def answer(scope: Any, receive: Any, send: Any) -> str:
    assert await receive() == REQUEST
    await send(START)
    await send(LAST)
    return "returned"

"""Temporary files are gone when the exchange ends, however it ends (contract §2)."""

import contextlib
from typing import Any

import anyio
import pytest

from ..scripted import DISCONNECT, LAST, START, Server, piece, ticks

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("end", ["completes", "raises", "is told", "is cancelled", "is refused"])
async def test_the_file_is_closed_when_the_exchange_ends_however_it_ends(
    end: str, files: list[Any]
) -> None:
    server = Server(*[piece(bytes(9999))] * 9)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not files:
            await receive()  # from the disk, or from the server, until there is more than we read
            server.give(*[piece(bytes(9999))] * 9)
            await ticks(5)
        if end == "completes":
            await send(START)
            await send(LAST)
        elif end == "raises":
            raise ZeroDivisionError
        else:
            server.leave()
            if end == "is told":
                while await receive() != DISCONNECT:
                    pass
            await anyio.sleep_forever()

    limit = 200_000 if end == "is refused" else None
    with contextlib.suppress(ZeroDivisionError):
        await server.run(app, max_memory=0, max_body_size=limit, grace=0.01)
    assert len(files) == 1
    assert files[0].closed


async def test_the_file_is_closed_when_the_caller_cancels(files: list[Any]) -> None:
    server = Server(*[piece(bytes(9999))] * 9)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not files:
            await ticks(1)
        callers.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as callers:
        await server.run(app, max_memory=0)
    assert callers.cancelled_caught
    assert files[0].closed

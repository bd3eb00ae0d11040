"""No cancellation point is added on the app's way in or out (contract §5)."""

import asyncio
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from ...backends import only_asyncio
from ..scripted import LAST, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("fails", [True, False])
async def test_an_app_that_completes_while_a_cancellation_is_pending_completes(
    watched: bool, fails: bool
) -> None:
    """No cancellation point is added on the way in or out."""
    server = Server(REQUEST)
    error = ValueError("the app's")
    outcome: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        if watched:
            with anyio.CancelScope(shield=True):
                await ticks(20)
            assert server.reading
        if fails:
            raise error
        return "returned"

    with anyio.CancelScope() as callers:
        callers.cancel()
        try:
            outcome.append(
                await DisconnectMiddleware(app, watch_after=0)(
                    {"type": "http"}, server.receive, server.send
                )
            )
        except ValueError as raised:
            outcome.append(raised)
    assert outcome == [error if fails else "returned"]


@only_asyncio
@pytest.mark.parametrize("watched", [True, False])
async def test_a_cancellation_that_the_app_leaves_pending_stays_pending(watched: bool) -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        if watched:
            await ticks(20)
        await send(START)
        await send(LAST)
        task = asyncio.current_task()
        assert task is not None
        task.cancel("pending")
        return "returned"

    async def caller() -> None:
        events.append(
            await DisconnectMiddleware(app, watch_after=0)(
                {"type": "http"}, server.receive, server.send
            )
        )
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            events.append(error.args)
            task = asyncio.current_task()
            assert task is not None
            events.append(task.cancelling())

    await asyncio.create_task(caller())
    assert events == ["returned", ("pending",), 1]

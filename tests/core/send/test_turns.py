"""A stream that never waits gives the loop its turns (contract §3)."""

from typing import Any

import anyio
import pytest

from ..scripted import DISCONNECT, HUNG, MORE, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("told", [True, False])
async def test_a_stream_that_never_waits_lets_others_run_and_is_stopped(told: bool) -> None:
    server = Server(REQUEST)
    events: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        try:
            while True:
                await send(MORE)
        finally:
            events.append("stopped")

    async def client() -> None:
        await ticks(3)
        events.append("another request")
        server.leave()

    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client)
            assert await server.run(app, grace=1000) is None
    assert events == ["another request", "stopped"]


@pytest.mark.parametrize("cancel", [True, False])
async def test_a_stream_goes_on_giving_turns_once_its_client_has_left(cancel: bool) -> None:
    """It is told, and has its grace, or is never cancelled: others run all the same."""
    server = Server(REQUEST)
    stop = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        server.leave()
        assert await receive() == DISCONNECT
        while not stop.is_set():
            await send(MORE)

    async def another() -> None:
        await ticks(3)
        stop.set()

    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            await ticks(1)
            tasks.start_soon(another)
            await server.run(app, grace=1000, cancel=cancel)


async def test_a_response_of_one_piece_gives_no_turn() -> None:
    """No cancellation point is added to it."""
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await send(START)
        await send({**MORE, "more_body": False})
        return "returned"

    with anyio.CancelScope() as callers:
        callers.cancel()
        assert await server.run(app) == "returned"

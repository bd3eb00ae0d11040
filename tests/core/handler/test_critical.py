"""`critical`: a block is finished before any cancellation is delivered (contract §6)."""

import contextlib
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import current_disconnect

from ..scripted import LAST, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("enters_after", range(6))
async def test_a_critical_block_is_finished_before_the_app_is_cancelled(enters_after: int) -> None:
    server = Server(REQUEST)
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if enters_after == 0:
            server.leave()
        for _ in range(enters_after):
            await ticks(1)
        try:
            async with current_disconnect().critical():
                server.leave()
                events.append("begun")
                await ticks(20)
                await anyio.sleep(0.01)
                events.append("finished")
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            events.append("cancelled")
            raise

    assert await server.run(app) is None
    assert events == ["begun", "finished", "cancelled"]


async def test_critical_blocks_nest_and_many_tasks_may_have_one() -> None:
    server = Server(REQUEST)
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def block(length: int) -> None:
            async with current_disconnect().critical(), current_disconnect().critical():
                await ticks(length)
                events.append(f"finished {length}")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(block, 20)
            tasks.start_soon(block, 40)
            await ticks(3)
            server.leave()
            try:
                await anyio.sleep_forever()
            finally:
                events.append("cancelled")

    assert await server.run(app) is None
    assert events == ["finished 20", "finished 40", "cancelled"]


async def test_a_critical_block_of_a_thread_holds_the_cancellation_back() -> None:
    server = Server(REQUEST)
    events: list[str] = []
    entered, go_on = threading.Event(), threading.Event()

    def view() -> None:
        with current_disconnect().critical():
            entered.set()
            assert go_on.wait(5)
            events.append("finished")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, view)
            await anyio.to_thread.run_sync(entered.wait, 5)
            server.leave()
            try:
                await ticks(50)
                events.append("not cancelled yet")
                go_on.set()
                await anyio.sleep_forever()
            finally:
                events.append("cancelled")

    assert await server.run(app) is None
    assert events == ["not cancelled yet", "finished", "cancelled"]


async def test_a_response_completed_in_a_critical_block_is_not_cancelled_after_it() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        async with current_disconnect().critical():
            server.leave()
            await ticks(20)
            await send(START)
            await send(LAST)
        await ticks(20)
        return "returned"

    assert await server.run(app) == "returned"


@pytest.mark.parametrize("exit_by", [ValueError, None])
async def test_an_error_leaves_a_critical_block(exit_by: type[Exception] | None) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(ValueError):
            async with current_disconnect().critical():
                if exit_by:
                    raise exit_by
        server.leave()
        await anyio.sleep_forever()

    assert await server.run(app) is None

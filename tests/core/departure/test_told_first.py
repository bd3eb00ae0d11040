"""An app that listens is told first, and has `grace` to end in its own way (contract §4.2)."""

import asyncio
import math
from typing import Any

import anyio
import pytest

from ..scripted import DISCONNECT, LAST, REQUEST, START, Server, ticks

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_logged_above_debug")]


async def test_an_app_that_listens_is_told_and_ends_in_its_own_way() -> None:
    server = Server(REQUEST)
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        assert await receive() == REQUEST
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    with anyio.CancelScope(shield=True):
                        await ticks(50)
                    cancelled.append("work")

            tasks.start_soon(work)
            await ticks(3)
            server.leave()
            assert await receive() == DISCONNECT
            tasks.cancel_scope.cancel()
        return "its own way"

    assert await server.run(app, grace=1000) == "its own way"
    assert cancelled == ["work"]


async def test_one_listener_among_many_tasks_is_enough_to_be_told() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        told = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def listen() -> None:
                assert await receive() == DISCONNECT
                told.set()

            tasks.start_soon(listen)
            await ticks(5)
            server.leave()
            await told.wait()
        return "its own way"

    assert await server.run(app, grace=1000) == "its own way"


@pytest.mark.parametrize("watch_after", [0, math.inf])
async def test_an_app_that_was_told_is_cancelled_after_grace(watch_after: float) -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        try:
            events.append("goes on")
            await anyio.sleep_forever()
        finally:
            events.append("cancelled")

    assert await server.run(app, grace=0.02, watch_after=watch_after) is None
    assert events == ["goes on", "cancelled"]


async def test_with_infinite_grace_an_app_is_told_and_never_cancelled() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        await anyio.sleep(0.05)
        return "its own way"

    assert await server.run(app, grace=math.inf) == "its own way"


async def test_a_told_app_that_completes_its_response_is_not_cancelled_after_grace() -> None:
    server = Server(REQUEST)
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        await send(START)
        await send(LAST)
        await anyio.sleep(0.05)
        done.append("background")

    await server.run(app, grace=0.01)
    assert server.types == ["start", "body"]
    assert done == ["background"]


async def test_with_cancel_false_the_app_is_told_and_otherwise_left_alone() -> None:
    server = Server(REQUEST)
    error = ValueError("the app's")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await ticks(20)
        assert await receive() == DISCONNECT
        raise error

    with pytest.raises(ValueError, match="the app's") as raised:
        await server.run(app, cancel=False, grace=0)
    assert raised.value is error


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("later", range(12))
@pytest.mark.anyio
async def test_an_app_that_has_begun_to_listen_is_told(later: int) -> None:
    server = Server(REQUEST)
    thread: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    listens = False
    reports: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            nonlocal listens
            listens = True
            await receive()

        await receive()
        await thread
        listening = asyncio.create_task(listen())
        await asyncio.wait([listening])

    running = asyncio.create_task(server.run(app, on_disconnect=reports.append))
    await ticks(20)
    server.leave()
    await ticks(later)
    if not thread.done():
        thread.set_result(None)
    await running
    assert [report.outcome for report in reports] == ["told" if listens else "cancelled"]

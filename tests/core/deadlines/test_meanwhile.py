"""A deadline, and what else may end an exchange: whatever comes first (contract §10, §4.5)."""

import asyncio
import math
from typing import Any

import anyio
import pytest

from asgi_disconnect import Disconnect, DisconnectMiddleware, current_disconnect

from ...backends import only_asyncio
from ..receive.refusals import status_of
from ..scripted import DISCONNECT, HUNG, LAST, REQUEST, START, Server, http_scope, ticks
from .exchanges import SOON, WATCHING, pass_deadline, run

pytestmark = pytest.mark.anyio


@WATCHING
async def test_a_departure_before_it_is_a_departure(watch_after: float) -> None:
    server, events = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        await anyio.sleep(3 * SOON)
        events.append(current_disconnect().cause)

    report = await run(server, app, watch_after=watch_after)
    assert events == ["disconnect"]
    assert server.sent == []
    assert report is not None
    assert (report.cause, report.outcome) == ("disconnect", "told")


async def test_a_departure_after_it_changes_nothing() -> None:
    server, events = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await current_disconnect().wait()
        server.leave()
        try:
            await anyio.sleep_forever()
        finally:
            events.append(current_disconnect().cause)

    report = await run(server, app)
    assert events == ["deadline"]
    assert report is not None
    assert report.cause == "deadline"


@WATCHING
async def test_ignore_lifts_it(watch_after: float) -> None:
    server, found = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().ignore()
        await anyio.sleep(3 * SOON)
        found.extend((current_disconnect().remaining(), current_disconnect().is_set()))
        await send(START)
        await send(LAST)

    assert await run(server, app, watch_after=watch_after) is None
    assert found == [math.inf, False]
    assert server.sent == [START, LAST]


async def test_ignore_after_it_has_passed_keeps_the_app_from_being_cancelled() -> None:
    server, events = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with current_disconnect().critical():
            await current_disconnect().wait()
            current_disconnect().ignore()
        await anyio.sleep(SOON)
        events.append("ended")

    await run(server, app)
    assert events == ["ended"]
    assert status_of(server) == 504


@only_asyncio
@pytest.mark.parametrize("receives", [True, False])
@pytest.mark.parametrize("first", ["deadline", "cancel"])
async def test_a_cancellation_of_somebody_elses_in_the_same_tick_passes(
    receives: bool, first: str
) -> None:
    server, ready, found = Server(), anyio.Event(), list[Disconnect]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(current_disconnect())
        ready.set()
        if receives:
            await receive()
        await anyio.sleep_forever()

    middleware = DisconnectMiddleware(app, deadline=HUNG, grace=1000)
    task = asyncio.ensure_future(middleware(http_scope(), server.receive, server.send))
    await ready.wait()
    await ticks(3)
    if first == "deadline":
        pass_deadline(found[0])
        task.cancel()
    else:
        task.cancel()
        pass_deadline(found[0])
    with anyio.fail_after(HUNG):
        await asyncio.wait([task])
    assert task.cancelled()
    assert task.cancelling() == 1


@pytest.mark.parametrize("first", ["deadline", "scope"])
@pytest.mark.parametrize("receives", [True, False])
async def test_a_scope_around_us_that_is_cancelled_in_the_same_tick_ends_us(
    receives: bool, first: str
) -> None:
    server, ready, found = Server(), anyio.Event(), list[Disconnect]()
    passed = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(current_disconnect())
        ready.set()
        if receives:
            await receive()
        await anyio.sleep_forever()

    middleware = DisconnectMiddleware(app, deadline=HUNG, grace=1000)
    async with anyio.create_task_group() as tasks:

        async def serve() -> None:
            with scope:
                await middleware(http_scope(), server.receive, server.send)
                await ticks(1)
            passed.append(scope.cancelled_caught)
            await ticks(3)  # nothing is left of it
            passed.append(True)

        scope = anyio.CancelScope()
        tasks.start_soon(serve)
        await ready.wait()
        await ticks(3)
        if first == "deadline":
            pass_deadline(found[0])
            scope.cancel()
        else:
            scope.cancel()
            pass_deadline(found[0])
    assert passed == [True, True]


@only_asyncio
@pytest.mark.parametrize("delay", [0.0, 0.001])
async def test_a_timeout_of_the_apps_own_may_end_in_the_same_tick(delay: float) -> None:
    """Whatever comes first, nothing is left of the call's interruption."""
    server, events = Server(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asyncio.get_running_loop().call_later(delay, pass_deadline, current_disconnect())
        try:
            async with asyncio.timeout(delay):
                await receive()
            events.append("told")
        except TimeoutError:
            events.append("timed out")
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert await receive() == DISCONNECT

    await server.run(app, deadline=HUNG, watch_after=1)
    assert len(events) == 1

"""A cancellation that is not ours passes at once, at any stage (contract §4.5, §5)."""

import asyncio
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from ...backends import only_asyncio
from ..scripted import DISCONNECT, HUNG, LAST, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("watch_after", [0, float("inf")])
@pytest.mark.parametrize("stage", range(12))
async def test_a_callers_scope_ends_the_app_at_every_stage(
    stage: int, watch_after: float, left: bool
) -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
            assert await receive() == DISCONNECT
            await anyio.sleep_forever()
        finally:
            events.append("ended")

    with anyio.fail_after(HUNG), anyio.CancelScope() as callers:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await ticks(stage)
                if left:
                    server.leave()
                    await ticks(stage % 3)
                callers.cancel()

            tasks.start_soon(cancel)
            await server.run(app, watch_after=watch_after, grace=1000)
            events.append("returned")  # not reached
    assert events == ["ended"]
    assert callers.cancelled_caught


@only_asyncio
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("stage", range(12))
async def test_a_servers_own_cancel_ends_the_app_at_every_stage(
    stage: int, listens: bool, left: bool
) -> None:
    """In a tie with ours too, in either order."""
    for departs_first in (True, False):
        server = Server(REQUEST)
        events = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                await receive()
                if listens:
                    await receive()
                await anyio.sleep_forever()
            finally:
                events.append("ended")  # noqa: B023

        task = asyncio.ensure_future(server.run(app, grace=1000))
        await ticks(1)
        if left and departs_first:
            server.leave()
            await ticks(stage)
        else:
            await ticks(stage)
        task.cancel()
        if left and not departs_first:
            server.leave()
        with anyio.fail_after(HUNG):
            await asyncio.wait([task])
        assert task.cancelled() or not task.exception()
        assert events == ["ended"]
        # Once the app has been cancelled for its client, the exchange may be over before the
        # server's cancellation comes; else that is what ends it.
        if not (left and departs_first and not listens):
            assert task.cancelled()


@only_asyncio
@pytest.mark.parametrize("wait", range(6))
async def test_a_servers_own_cancel_passes_during_cleanup(wait: int) -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
            server.leave()
            await anyio.sleep_forever()
        finally:
            events.append("cleanup")
            try:
                await anyio.sleep_forever()
            finally:
                events.append("ended")

    task = asyncio.ensure_future(server.run(app))
    while not events:
        await ticks(1)
    await ticks(wait)
    task.cancel("the server's")
    with anyio.fail_after(HUNG), pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["cleanup", "ended"]


@only_asyncio
async def test_asyncio_timeout_works_around_and_inside() -> None:
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(0.01):
                await anyio.sleep_forever()
        except TimeoutError:
            events.append("inside")
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await Server(REQUEST).run(app)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert events == ["inside"]


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


@only_asyncio
@pytest.mark.parametrize("wait", range(8))
@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_cancellation_that_asyncios_task_group_made_of_ours_stays_with_us(
    wait: int, goes_on: bool
) -> None:
    """Django 6.1 has one inside: it cancels its own task anew, without anyio's message."""
    server = Server(REQUEST)

    class Left(Exception):
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

        async def listen() -> None:
            await ticks(wait)
            assert await receive() == DISCONNECT
            raise Left

        server.leave()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(listen())
                await anyio.sleep_forever()
        except ExceptionGroup:
            if goes_on:
                await ticks(1)

    async def caller() -> int:
        assert await server.run(app, grace=1000) is None
        await ticks(3)  # what is left of a cancellation would come out here
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await asyncio.create_task(caller()) == 0

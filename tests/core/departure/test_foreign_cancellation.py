"""A cancellation that is not ours passes at once, and once (contract §4.5)."""

import asyncio
from typing import Any

import anyio
import pytest

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
        around.reschedule(0)  # the loop's clock is past that: only now, so that they cannot tie
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as around:
            await Server(REQUEST).run(app)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert events == ["inside"]


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


def this_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None
    return task


@only_asyncio
@pytest.mark.parametrize("wait", range(5))
async def test_an_app_that_has_taken_ours_back_hears_the_servers(wait: int) -> None:
    """asyncio's documentation shows how to take a cancellation back."""
    server = Server(REQUEST)
    goes_on = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            this_task().uncancel()
        goes_on.set()
        await anyio.sleep_forever()

    task = asyncio.create_task(server.run(app))
    with anyio.fail_after(HUNG):
        await goes_on.wait()
        await ticks(wait)
        task.cancel("the server's")
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
    assert raised.value.args == ("the server's",)


@only_asyncio
@pytest.mark.parametrize("wait", range(4))
async def test_a_servers_own_cancel_of_which_the_app_makes_another_error(wait: int) -> None:
    """The app's error stays out of the server's log, its own cancellation does not."""
    server = Server(REQUEST)
    cleaning = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            await anyio.sleep_forever()
        finally:
            cleaning.set()
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                raise ValueError("the app's own") from None

    task = asyncio.create_task(server.run(app))
    with anyio.fail_after(HUNG):
        await cleaning.wait()
        await ticks(wait)
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


@only_asyncio
@pytest.mark.parametrize("stage", range(10))
@pytest.mark.parametrize("app_ends", [None, ValueError("the app's")])
async def test_a_cancellation_on_the_apps_way_out_is_raised_once_or_left_to_the_caller(
    stage: int, app_ends: Exception | None
) -> None:
    """Whatever the tick: it is seen by the caller, once, and counted once."""
    server = Server(REQUEST)
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(3)  # there is a watcher
        await send(START)
        await send(LAST)
        done.set()
        if app_ends is not None:
            raise app_ends

    seen: list[str] = []

    async def caller() -> None:
        try:
            await server.run(app)
        except asyncio.CancelledError:
            seen.append("raised")
        except ValueError:
            pass
        if not seen:
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                seen.append("pending")
        this_task().uncancel()
        await ticks(3)  # a second one would come out here

    task = asyncio.create_task(caller())
    await done.wait()
    await ticks(stage)
    task.cancel()
    with anyio.fail_after(HUNG):
        await task
    assert len(seen) == 1

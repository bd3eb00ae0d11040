"""A cancellation of somebody else's passes at once, whatever of ours still runs (contract §4.5)."""

import asyncio
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectReport, current_disconnect

from ...backends import only_asyncio
from ..scripted import HUNG, LAST, REQUEST, START, Message, Server, piece, ticks

pytestmark = pytest.mark.anyio


class Stage:
    """What of ours runs when the cancellation comes, and does not end by itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached = anyio.Event()
        self.cut_short = False
        self.options: dict[str, Any] = {"on_disconnect": self.hook} if "hook" in name else {}
        self.server = Server(REQUEST)
        if name == "answer":
            self.options = {"max_body_size": 1}
            self.server = SlowToSend(self, piece(b"too long"))

    async def last(self) -> None:
        self.reached.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.cut_short = True

    async def hook(self, report: DisconnectReport) -> None:
        await self.last()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if self.name == "answer":
            await receive()
            return
        await receive()
        if self.name == "callback":
            current_disconnect().add_callback(self.last)
        self.server.leave()
        await receive()
        if self.name == "hook, the app cancelled":
            self.reached.set()
            await anyio.sleep_forever()

    async def run(self) -> None:
        await self.server.run(self.app, **self.options)


class SlowToSend(Server):
    def __init__(self, stage: Stage, *messages: Message) -> None:
        super().__init__(*messages)
        self.stage = stage

    async def send(self, message: Message) -> None:
        await self.stage.last()


STAGES = ["hook", "callback", "answer", "hook, the app cancelled"]


@pytest.fixture(params=STAGES)
def stage_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("wait", range(4))
async def test_a_callers_scope(stage_name: str, wait: int) -> None:
    stage = Stage(stage_name)

    async def cancel() -> None:
        await stage.reached.wait()
        await ticks(wait)
        callers.cancel()

    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel)
            with anyio.CancelScope() as callers:
                await stage.run()
                raise AssertionError("not cancelled")
    assert callers.cancelled_caught
    assert stage.cut_short


@only_asyncio
@pytest.mark.parametrize("wait", range(4))
async def test_a_servers_own_cancel(stage_name: str, wait: int) -> None:
    stage = Stage(stage_name)
    task = asyncio.create_task(stage.run())
    with anyio.fail_after(HUNG):
        await stage.reached.wait()
        await ticks(wait)
        task.cancel("the server's")
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
    assert raised.value.args == ("the server's",)
    assert stage.cut_short


@only_asyncio
async def test_a_callers_timeout_is_a_timeout_and_nothing_is_left_of_it(stage_name: str) -> None:
    """Before Python 3.13 what is taken back stays pending, if it has not been raised."""
    stage = Stage(stage_name)

    async def caller() -> int:
        callers = asyncio.timeout(None)
        expiring = asyncio.create_task(expire(callers))
        with pytest.raises(TimeoutError):
            await run_within(callers)
        await expiring
        await ticks(3)  # what is left would come out here
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    async def run_within(callers: asyncio.Timeout) -> None:
        async with callers:
            await stage.run()

    async def expire(callers: asyncio.Timeout) -> None:
        await stage.reached.wait()
        callers.reschedule(0)

    with anyio.fail_after(HUNG):
        assert await asyncio.create_task(caller()) == 0
    assert stage.cut_short


async def test_a_hook_is_begun_even_where_the_caller_is_cancelled() -> None:
    """And cut short at its first await that waits."""
    server = Server(REQUEST)
    reports: list[DisconnectReport] = []
    left = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await receive()
        left.set()
        await anyio.sleep_forever()

    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await left.wait()
                callers.cancel()

            tasks.start_soon(cancel)
            with anyio.CancelScope() as callers:
                await server.run(app, on_disconnect=reports.append)
    assert len(reports) == 1


@only_asyncio
async def test_a_hook_that_will_not_be_cut_short_is_left_behind() -> None:
    stage = Stage("hook")
    go_on = asyncio.Event()
    events = []

    async def stubborn(report: DisconnectReport) -> None:
        stage.reached.set()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                events.append("cancelled")
        events.append("ended")

    stage.options = {"on_disconnect": stubborn, "cleanup_timeout": float("inf")}
    task = asyncio.create_task(stage.run())
    with anyio.fail_after(HUNG):
        await stage.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert events == ["cancelled"]
    go_on.set()
    await ticks(5)
    assert events == ["cancelled", "ended"]


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


def this_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None
    return task

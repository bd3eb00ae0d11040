"""A cancellation of somebody else's cuts short what of ours still runs (contract §4.5)."""

import asyncio
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectReport, current_disconnect

from ...backends import only_asyncio
from ..scripted import HUNG, REQUEST, Message, Server, piece, ticks

pytestmark = pytest.mark.anyio

STAGES = ["hook", "callback", "answer", "hook, the app cancelled"]


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

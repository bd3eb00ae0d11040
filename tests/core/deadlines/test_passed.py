"""What a deadline does when it passes: an answer, and one cancellation (contract §10)."""

import asyncio
import threading
import time
from typing import Any

import anyio
import pytest

from asgi_disconnect import current_disconnect

from ...backends import only_asyncio
from ..receive.refusals import Working, status_of
from ..scripted import DISCONNECT, HUNG, LAST, MORE, REQUEST, START, Server, piece, ticks
from .exchanges import DEADLINES, SOON, WATCHING, run

pytestmark = pytest.mark.anyio


@WATCHING
@DEADLINES
@pytest.mark.parametrize("messages", [[REQUEST], [piece(b"half")], []])
async def test_an_app_that_works_for_too_long_is_cancelled_and_its_client_has_a_504(
    deadline: Any, watch_after: float, messages: list[Any]
) -> None:
    server, app = Server(*messages), Working()
    report = await run(server, app, deadline=deadline, watch_after=watch_after)
    assert status_of(server) == 504
    # What is shorter than watching may be over before the app is called.
    assert app.events == ["called", "cancelled"] or (deadline == 0.001 and app.events == [])
    assert report is not None
    assert (report.cause, report.outcome, report.phase) == ("deadline", "cancelled", "processing")
    assert (report.status, report.exception) == (504, None)


async def test_it_is_not_cancelled_before_its_time() -> None:
    started = time.monotonic()
    await run(Server(REQUEST), Working(), deadline=0.1)
    assert 0.098 < time.monotonic() - started < 5


@WATCHING
async def test_one_that_ends_in_time_is_left_alone(watch_after: float) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await anyio.sleep(0.01)
        await send(START)
        await send(LAST)

    assert await run(server, app, deadline=HUNG / 2, watch_after=watch_after) is None
    assert server.sent == [START, LAST]


@WATCHING
async def test_background_work_after_the_response_is_not_touched(watch_after: float) -> None:
    server, done = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(LAST)
        await anyio.sleep(4 * SOON)
        done.append(current_disconnect().cause)

    assert await run(server, app, watch_after=watch_after) is None
    assert done == [None]
    assert server.sent == [START, LAST]


@WATCHING
async def test_background_work_that_listens_is_told_by_the_client_alone(watch_after: float) -> None:
    server, got = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(LAST)
        async with anyio.create_task_group() as tasks:

            async def leave() -> None:
                await anyio.sleep(4 * SOON)
                got.append("the client leaves")
                server.leave()

            tasks.start_soon(leave)
            got.append(await receive())

    assert await run(server, app, watch_after=watch_after) is None
    assert got == ["the client leaves", DISCONNECT]


@WATCHING
@pytest.mark.parametrize("sent", [[START], [START, MORE]])
async def test_a_response_that_has_started_is_cut_off(sent: list[Any], watch_after: float) -> None:
    server, app = Server(REQUEST), Working(*sent)
    report = await run(server, app, watch_after=watch_after)
    assert server.sent == sent
    assert app.events == ["called", "cancelled"]
    assert report is not None
    assert (report.phase, report.status) == ("responding", 200)


async def test_what_the_app_sends_when_it_is_cancelled_goes_nowhere() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await send(START)
                await send(LAST)

    await run(server, app)
    assert status_of(server) == 504


@WATCHING
@pytest.mark.parametrize(
    "messages", [[REQUEST], [piece(b"half")], []], ids=["listens", "in-the-body", "before-it"]
)
@pytest.mark.parametrize("started", [True, False])
async def test_an_app_in_receive_is_told_and_ends_in_its_own_way(
    messages: list[Any], watch_after: float, started: bool
) -> None:
    """Though nobody but the app itself is in the server's `receive`, which says nothing."""
    server, events = Server(*messages), []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        if started:
            await send(START)
        for message in messages:
            assert await receive() == message
        assert await receive() == DISCONNECT
        with anyio.CancelScope() as cancelled:
            cancelled.cancel()
            assert await receive() == DISCONNECT  # without a checkpoint
            events.append("told again")
        await anyio.sleep(SOON)
        await send(LAST if started else START)
        events.append("ended")
        return "returned"

    report = await run(server, app, watch_after=watch_after)
    assert events == ["told again", "ended"]
    assert report is not None
    assert (report.cause, report.outcome) == ("deadline", "told")
    assert server.sent == [START] if started else status_of(server) == 504


@WATCHING
async def test_an_app_that_is_told_by_another_of_its_tasks_is_told(watch_after: float) -> None:
    server, events = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            events.append("told")
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            try:
                await anyio.sleep_forever()
            finally:
                events.append("stopped")

    report = await run(server, app, watch_after=watch_after)
    assert events == ["told", "stopped"]
    assert report is not None
    assert report.outcome == "told"
    assert status_of(server) == 504


@WATCHING
async def test_an_app_that_is_told_and_goes_on_is_cancelled_after_grace(watch_after: float) -> None:
    server, events = Server(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == DISCONNECT
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            events.append("cancelled")
            raise

    report = await run(server, app, watch_after=watch_after, grace=SOON)
    assert events == ["cancelled"]
    assert report is not None
    assert report.outcome == "overran"


@only_asyncio
async def test_it_is_cancelled_once_and_its_cleanup_finishes() -> None:
    server, events = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await anyio.sleep_forever()
        finally:
            for _ in range(3):
                await asyncio.sleep(0.005)
            events.append("cleaned up")

    await run(server, app)
    assert events == ["cleaned up"]


@only_asyncio
@pytest.mark.fast_guard
async def test_cleanup_in_groups_finishes_too() -> None:
    server, events = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def work() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                await asyncio.sleep(0.005)
                await asyncio.sleep(0.005)
                events.append("cleaned up")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

    await run(server, app)
    assert events == ["cleaned up"]


async def test_a_critical_block_is_finished_though_the_client_has_its_answer() -> None:
    server, events = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with current_disconnect().critical():
            await current_disconnect().wait()
            while len(server.sent) < 2:  # noqa: ASYNC110 - the server is the test's own
                await anyio.sleep(0.001)
            events.append("finished")
        await anyio.sleep_forever()

    report = await run(server, app)
    assert events == ["finished"]
    assert status_of(server) == 504
    assert report is not None
    assert report.outcome == "cancelled"


async def test_a_thread_that_works_on_does_not_hold_the_answer_up() -> None:
    server, go_on = Server(REQUEST), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.to_thread.run_sync(go_on.wait, HUNG)

    async def send(message: Any) -> None:
        server.sent.append(message)
        if len(server.sent) == 2:
            go_on.set()  # nobody else does

    server.send = send  # type: ignore[method-assign]
    await run(server, app)
    assert status_of(server) == 504


async def test_with_cancel_false_the_client_has_its_answer_and_the_app_works_on() -> None:
    server, events = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await current_disconnect().wait()
        await anyio.sleep(SOON)
        await send(START)
        await send(LAST)
        events.append("ended")

    report = await run(server, app, cancel=False)
    assert events == ["ended"]
    assert status_of(server) == 504
    assert report is not None
    assert report.outcome == "ignored"


@pytest.mark.parametrize("buffer", ["ahead", "whole"])
@pytest.mark.parametrize("watch_after", [0, 0.005])
async def test_a_body_that_does_not_arrive_in_time_is_no_exception(
    buffer: str, watch_after: float
) -> None:
    server, app = Server(piece(b"half")), Working()
    await run(server, app, buffer=buffer, watch_after=watch_after)
    assert status_of(server) == 504
    assert app.events == ([] if buffer == "whole" else ["called", "cancelled"])


async def test_a_client_that_is_gone_when_it_is_answered_is_no_error() -> None:
    server, app = Server(REQUEST), Working()

    async def send(message: Any) -> None:
        raise BrokenPipeError

    server.send = send  # type: ignore[method-assign]
    report = await run(server, app)
    assert app.events == ["called", "cancelled"]
    assert report is not None
    assert report.cause == "deadline"


async def test_nothing_is_read_at_the_same_time_as_the_app_does() -> None:
    """A call of the app's own that is slow to end, for one that reads on to end the response."""
    events = list[str]()

    class Slow(Server):
        async def receive(self) -> Any:
            events.append("begins")
            try:
                return await super().receive()
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(SOON)
                events.append("ends")
                raise

        async def send(self, message: Any) -> None:
            while "ends" not in events:
                await ticks(1)
            await ticks(10)
            await super().send(message)

    server = Slow()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == DISCONNECT

    await run(server, app, watch_after=1)
    assert status_of(server) == 504
    assert events == ["begins", "ends", "begins", "ends"]

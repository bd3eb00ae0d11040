"""What becomes of the app when a WebSocket's client leaves: it has `grace`, told or not."""

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect import DisconnectReport, current_disconnect

from ...backends import only_asyncio
from ..scripted import HUNG, ticks
from .connections import ACCEPT, CLOSE, GONE, PUSH, WebSocketServer, text, websocket_scope

pytestmark = pytest.mark.anyio

DENIAL: list[Any] = [
    {"type": "websocket.http.response.start", "status": 403, "headers": []},
    {"type": "websocket.http.response.body", "body": b"no"},
]


async def works(events: list[str]) -> None:
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        events.append("cancelled")
        with anyio.CancelScope(shield=True):  # for trio
            await ticks(3)
        events.append("cleaned up")
        raise


@pytest.mark.parametrize("grace", [0, 0.01])
async def test_one_that_only_works_is_cancelled_after_its_grace_and_cleans_up(
    grace: float,
) -> None:
    server, events, reports = WebSocketServer(), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        server.leave()
        await works(events)

    await server.run(app, grace=grace, on_disconnect=reports.append)
    assert events == ["cancelled", "cleaned up"]
    (report,) = reports
    assert (report.phase, report.outcome, report.code) == ("connected", "cancelled", 1001)
    assert (report.cause, report.exception, report.status) == ("disconnect", None, None)


async def test_one_that_only_pushes_is_cancelled_and_what_it_sends_then_is_dropped() -> None:
    server = WebSocketServer()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        server.leave()
        try:
            while True:
                await send(PUSH)
                await checkpoint()
        finally:
            with anyio.CancelScope(shield=True):
                await send(CLOSE)

    await server.run(app)
    assert server.types[:2] == ["accept", "send"]
    assert "close" not in server.types


async def test_one_that_pushes_without_waiting_does_not_keep_the_loop_to_itself() -> None:
    server, pushed = WebSocketServer(), 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal pushed
        await receive()
        server.leave()
        while True:
            pushed += 1
            await send(PUSH)

    await server.run(app)
    assert pushed > 1


async def test_one_that_listens_is_told_and_never_cancelled() -> None:
    server, events, reports = WebSocketServer(), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        server.leave()
        assert await receive() is GONE
        await anyio.sleep(0.03)  # far beyond its grace
        events.append("written down")

    await server.run(app, grace=0, on_disconnect=reports.append)
    assert events == ["written down"]
    assert reports[0].outcome == "told"


async def test_one_that_comes_back_to_listen_in_time_is_never_cancelled() -> None:
    """The last message is in the works when the client closes."""
    server, events, reports = WebSocketServer(text("the last")), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        while (message := await receive()) is not GONE:
            server.leave()
            await current_disconnect().wait()
            await ticks(20)  # works on it
            events.append(message["text"])
        await anyio.sleep(0.03)
        events.append("billed")

    await server.run(app, grace=HUNG, on_disconnect=reports.append)
    assert events == ["the last", "billed"]
    assert reports[0].outcome == "told"


async def test_one_that_ends_in_time_has_finished() -> None:
    server, reports = WebSocketServer(), []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        server.leave()
        await current_disconnect().wait()
        await ticks(10)
        return "done"

    assert await server.run(app, grace=HUNG, on_disconnect=reports.append) == "done"
    assert reports[0].outcome == "finished"


async def test_a_writer_beside_a_reader_is_cancelled_by_the_apps_own_group() -> None:
    server, events = WebSocketServer(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(works, events)
            server.leave()
            assert await receive() is GONE
            tasks.cancel_scope.cancel()

    await server.run(app)
    assert events == ["cancelled", "cleaned up"]


@pytest.mark.parametrize("last", [[ACCEPT, CLOSE], [CLOSE], DENIAL], ids=["closed", "no", "denied"])
async def test_nothing_is_cancelled_once_the_app_has_closed_or_denied(last: list[Any]) -> None:
    server, events, reports = WebSocketServer(), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await anyio.sleep(0.001)  # the watcher reads
        for message in last:
            await send(message)
        server.leave()
        await anyio.sleep(0.02)
        events.append("went on")

    await server.run(app, on_disconnect=reports.append)
    assert events == ["went on"]
    assert reports == []


async def test_a_denial_that_is_not_complete_does_not_count() -> None:
    server, events = WebSocketServer(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(DENIAL[0])
        await send({**DENIAL[1], "more_body": True})
        server.leave()
        await works(events)

    await server.run(app)
    assert events == ["cancelled", "cleaned up"]


@pytest.mark.parametrize("close_in", range(6))
@pytest.mark.parametrize("leave_in", range(6))
async def test_a_tie_of_close_and_disconnect_has_one_outcome_and_never_cancels_after_close(
    close_in: int, leave_in: int
) -> None:
    server, events, reports = WebSocketServer(), [], []

    async def leave() -> None:
        await ticks(leave_in)
        server.leave()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await ticks(close_in)
            await send(CLOSE)
            events.append("closed")
            await ticks(10)
            events.append("went on")
        except anyio.get_cancelled_exc_class():
            events.append("cancelled")
            raise

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
        await server.run(app, on_disconnect=reports.append)
    assert events in (["closed", "went on"], ["cancelled"])
    assert len(reports) <= 1
    if events == ["cancelled"]:
        assert [report.outcome for report in reports] == ["cancelled"]


async def test_ignore_and_cancel_false_leave_it_alone() -> None:
    for options in ({}, {"cancel": False}):
        server, reports = WebSocketServer(), []

        async def app(
            scope: Any, receive: Any, send: Any, server: Any = server, options: Any = options
        ) -> None:
            await receive()
            if not options:
                current_disconnect().ignore()
            server.leave()
            await current_disconnect().wait()
            await ticks(20)
            await send(PUSH)

        await server.run(app, on_disconnect=reports.append, **options)
        assert server.types == ["send"]
        assert reports[0].outcome == "ignored"


async def test_a_critical_block_is_finished_and_a_callback_called() -> None:
    server, events = WebSocketServer(), []

    async def note() -> None:
        events.append("callback")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        disconnect = current_disconnect()
        disconnect.add_callback(note)
        async with disconnect.critical():
            server.leave()
            await disconnect.wait()
            await ticks(20)
            events.append("critical")
        await works(events)

    await server.run(app)
    assert events == ["callback", "critical", "cancelled", "cleaned up"]


async def test_an_error_after_the_departure_is_the_reports_and_not_the_servers() -> None:
    server, reports = WebSocketServer(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await receive()
        raise LookupError("in its cleanup")

    await server.run(app, on_disconnect=reports.append)
    assert isinstance(reports[0].exception, LookupError)


async def test_an_error_before_it_leaves_as_it_is() -> None:
    error = LookupError()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise error

    with pytest.raises(LookupError) as caught:
        await WebSocketServer().run(app)
    assert caught.value is error


class Refusing(WebSocketServer):
    """Whose `send` raises once the client has left, as uvicorn's and gunicorn's do."""

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            raise OSError("gone")
        await super().send(message)


async def test_an_error_of_send_is_a_departure_that_the_app_gets_and_its_messages_before_it() -> (
    None
):
    server, got, reports = Refusing(), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        try:
            await send(PUSH)
        except OSError:
            got.append("refused")
        server.give(text("the last"), GONE)
        got.append((await receive())["text"])
        assert await receive() is GONE

    await server.run(app, grace=HUNG, on_disconnect=reports.append)
    assert got == ["refused", "the last"]
    (report,) = reports
    assert (report.cause, report.outcome, report.code) == ("send_error", "told", 1001)


@pytest.mark.parametrize("left_before", [False, True])
async def test_an_app_that_ends_by_an_error_of_send_is_not_cancelled_in_its_cleanup(
    left_before: bool,
) -> None:
    server, events = Refusing(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if left_before:
            server.leave()
            await current_disconnect().wait()
        try:
            await send(PUSH)
        finally:
            await ticks(20)
            events.append("cleaned up")

    await server.run(app, grace=0)
    assert events == ["cleaned up"]


async def test_an_app_that_ignores_errors_of_send_is_cancelled() -> None:
    server, errors, reports = Refusing(), 0, []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal errors
        await receive()
        while True:
            try:
                await send(PUSH)
            except OSError:
                errors += 1
            await checkpoint()

    await server.run(app, grace=0.01, on_disconnect=reports.append)
    assert errors >= 1
    assert [(report.cause, report.outcome) for report in reports] == [("send_error", "cancelled")]


async def test_an_app_whose_sends_hang_after_close_is_cancelled() -> None:
    """Some servers never take what is sent to a client who has left (hypercorn's HTTP/2)."""

    class Hanging(WebSocketServer):
        async def send(self, message: Any) -> None:
            if not self.messages and message["type"] == "websocket.close":
                await anyio.sleep_forever()
            await super().send(message)

    server = Hanging()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        server.leave()
        await current_disconnect().wait()
        await send(CLOSE)

    await server.run(app, grace=0.01)
    assert server.types == ["accept"]


async def test_bytes_are_counted_in_both_directions() -> None:
    server = WebSocketServer(text("äb"), {"type": "websocket.receive", "bytes": b"123"}, GONE)
    reports: list[DisconnectReport] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "ü"})
        await send({"type": "websocket.send", "bytes": b"1234"})
        while await receive() is not GONE:
            pass

    await server.run(app, websocket_scope(path="/prices"), grace=1, on_disconnect=reports.append)
    (report,) = reports
    assert (report.bytes_received, report.bytes_sent) == (6, 6)
    assert report.scope["path"] == "/prices"


@only_asyncio
async def test_an_app_that_hears_of_it_as_it_is_about_to_be_cancelled_is_not() -> None:
    """It was about to run when its grace was over, and comes back to listen in that very step."""
    server, events, reports = WebSocketServer(), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        server.give(text("the last"), GONE)
        await current_disconnect().wait()
        with anyio.CancelScope(shield=True):  # in which no cancellation comes
            await anyio.sleep(0.03)
        assert (await receive())["text"] == "the last"
        assert await receive() is GONE
        await anyio.sleep(0.01)
        events.append("billed")

    await server.run(app, on_disconnect=reports.append)
    assert events == ["billed"]
    assert [report.outcome for report in reports] == ["told"]


@only_asyncio
async def test_an_app_that_hears_of_it_in_its_last_step_has_not_been_cancelled() -> None:
    """It was to be cancelled as soon as its shield was left, and it ends in that step."""
    server, reports = WebSocketServer(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(ACCEPT)
        server.give(GONE)
        await current_disconnect().wait()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.03)
        assert await receive() is GONE

    await server.run(app, on_disconnect=reports.append)
    assert [report.outcome for report in reports] == ["told"]

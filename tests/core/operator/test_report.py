"""One report of each premature disconnect (contract §7)."""

import dataclasses
from typing import Any

import anyio
import pytest

from asgi_disconnect import ClientDisconnected, DisconnectReport, current_disconnect

from ...backends import only_asyncio
from ..scripted import LAST, MORE, REQUEST, START, Server, http_scope, piece, ticks

pytestmark = pytest.mark.anyio

POST = http_scope(method="POST", headers=[(b"content-length", b"100")])


async def report_of(server: Server, app: Any, scope: Any = None, **options: Any) -> Any:
    reports: list[DisconnectReport] = []
    await server.run(app, scope, on_disconnect=reports.append, **options)
    assert len(reports) <= 1
    return reports[0] if reports else None


async def test_a_report_has_the_contracts_fields() -> None:
    server = Server(piece(b"12345"), piece(b"678", more_body=False))
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        await receive()
        await send({**START, "status": 201})
        await send({**MORE, "body": b"abcd"})
        await ticks(10)
        server.leave()
        await anyio.sleep_forever()

    report = await report_of(server, app, POST)
    assert report.scope is seen[0]
    assert report.phase == "responding"
    assert report.outcome == "cancelled"
    assert report.cause == "disconnect"
    assert report.bytes_received == 8
    assert report.bytes_sent == 4
    assert report.status == 201
    assert report.exception is None
    assert 0 <= report.seconds_to_end <= report.seconds_since_start < 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.status = 200
    assert not hasattr(report, "__dict__")


async def test_the_seconds_are_those_from_the_start_and_from_the_disconnect() -> None:
    server = Server(REQUEST)
    before, after = 0.05, 0.02

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(before)
        server.leave()
        await current_disconnect().wait()
        current_disconnect().ignore()
        await anyio.sleep(after)

    report = await report_of(server, app)
    coarse = 0.005  # a loop's clock
    assert after - coarse <= report.seconds_to_end
    assert before - coarse <= report.seconds_since_start - report.seconds_to_end


class FailsBeforeTheStart(Server):
    async def send(self, message: Any) -> None:
        if message["type"] != "http.response.start":
            raise OSError("gone")


async def test_a_departure_that_is_said_twice_counts_from_the_first_time() -> None:
    """The server's `send` raises, and its `receive` says so later."""
    server = FailsBeforeTheStart(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(5)  # the watcher reads
        with pytest.raises(OSError, match="gone"):
            await send({"type": "http.response.debug", "info": {}})
        await anyio.sleep(0.05)
        await send(START)
        server.leave()
        await ticks(10)

    report = await report_of(server, app, cancel=False)
    assert report.cause == "send_error"
    assert report.phase == "processing"
    assert report.seconds_to_end >= 0.045


async def test_a_refusal_that_comes_too_late_is_no_status() -> None:
    """The client has left, and what was on its way is too much."""
    server = FailsBeforeTheStart(piece(b"a"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(5)  # the watcher reads
        with pytest.raises(OSError, match="gone"):
            await send({"type": "http.response.debug", "info": {}})
        server.give(piece(b"too long"))
        await ticks(10)

    report = await report_of(server, app, cancel=False, max_body_size=4)
    assert (report.cause, report.status) == ("send_error", None)
    assert server.sent == []


@pytest.mark.parametrize("dropped", [True, False])
async def test_what_is_sent_to_nobody_counts_if_it_is_handed_to_the_server(dropped: bool) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.debug", "info": {}, "body": b"none of it"})
        server.leave()
        try:
            await (anyio.sleep_forever() if dropped else current_disconnect().wait())
        finally:
            with anyio.CancelScope(shield=True):
                await send(START)
                await send({**MORE, "body": b"abcd"})

    report = await report_of(server, app, cancel=dropped)
    assert report.phase == "processing"
    assert (report.status, report.bytes_sent) == ((None, 0) if dropped else (200, 4))


async def sleeps(scope: Any, receive: Any, send: Any) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("given", "scope", "phase"),
    [
        ([], http_scope(), "processing"),
        ([REQUEST], http_scope(), "processing"),
        ([], POST, "receiving"),
        ([piece(b"a")], POST, "receiving"),
        ([piece(b"a", more_body=False)], POST, "processing"),
        ([piece(b"a")], http_scope(headers=[(b"transfer-encoding", b"chunked")]), "receiving"),
    ],
)
async def test_the_phase_is_what_was_interrupted(given: Any, scope: Any, phase: str) -> None:
    server = Server(*given)
    server.leave()
    assert (await report_of(server, sleeps, scope)).phase == phase


async def test_each_outcome() -> None:
    async def listens(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def does_not_end(scope: Any, receive: Any, send: Any) -> None:
        await listens(scope, receive, send)
        await anyio.sleep_forever()

    async def ignores(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().ignore()
        await ticks(20)

    async def works(scope: Any, receive: Any, send: Any) -> None:
        await ticks(20)

    async def finishes(scope: Any, receive: Any, send: Any) -> None:
        await current_disconnect().wait()

    for app, options, outcome in [
        (sleeps, {}, "cancelled"),
        (listens, {}, "told"),
        (does_not_end, {"grace": 0.01}, "overran"),
        (ignores, {}, "ignored"),
        (works, {"cancel": False}, "ignored"),
        (finishes, {}, "finished"),
    ]:
        server = Server(REQUEST)
        server.leave()
        report = await report_of(server, app, **options)  # type: ignore[arg-type]
        assert report.outcome == outcome, app


@only_asyncio
async def test_cleanup_that_overruns_is_told() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        try:
            await anyio.sleep_forever()
        finally:
            await anyio.sleep_forever()

    assert (await report_of(server, app, cleanup_timeout=0.01)).outcome == "overran"


async def test_what_a_shield_keeps_running_for_too_long_overruns() -> None:
    """As a thread does, which nobody can cancel."""
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        with anyio.CancelScope(shield=True):
            await scope["asgi_disconnect"].wait()
            await anyio.sleep(0.1)
        await anyio.sleep_forever()

    assert (await report_of(server, app, cleanup_timeout=0.01)).outcome == "overran"
    server = Server(REQUEST)
    assert (await report_of(server, app, cleanup_timeout=10)).outcome == "cancelled"


async def test_there_is_no_report_of_a_response_that_was_complete() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(LAST)
        server.leave()
        await ticks(20)

    assert await report_of(server, app) is None


async def test_nor_of_one_whose_client_stayed() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(20)

    assert await report_of(Server(REQUEST), app) is None


async def test_an_error_of_send_is_a_cause() -> None:
    class Failing(Server):
        async def send(self, message: Any) -> None:
            raise OSError("gone")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(OSError, match="gone"):
            await send(START)
        await anyio.sleep_forever()

    report = await report_of(Failing(REQUEST), app, grace=0)
    assert (report.cause, report.status, report.bytes_sent) == ("send_error", None, 0)


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_a_cause(declared: bool) -> None:
    server = Server(piece(b"12345"))
    scope = POST if declared else http_scope(headers=[(b"transfer-encoding", b"chunked")])
    report = await report_of(server, sleeps, scope, max_body_size=4)
    assert (report.cause, report.status, report.outcome) == ("body_too_large", 413, "cancelled")
    assert report.phase == "receiving"
    assert server.sent[0]["status"] == 413


async def test_a_body_that_does_not_come_is_a_cause() -> None:
    server = Server(piece(b"12345"))
    report = await report_of(server, sleeps, POST, body_timeout=0.01)
    assert (report.cause, report.status, report.bytes_received) == ("body_timeout", 408, 5)
    assert report.outcome == "cancelled"


async def test_the_status_of_a_refused_request_is_that_of_the_response_that_had_started() -> None:
    server = Server(piece(b"12345"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await anyio.sleep_forever()

    report = await report_of(server, app, max_body_size=4)
    assert (report.cause, report.status, report.outcome) == ("body_too_large", 200, "cancelled")


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    "error", [ValueError("cleanup"), ClientDisconnected("said so"), ExceptionGroup("", [OSError()])]
)
async def test_what_an_abandoned_app_ended_with_is_in_the_report(
    error: Exception, told: bool
) -> None:
    """And not in the server's log; a group is the app's own."""
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        if told:
            await receive()
            raise error
        try:
            await anyio.sleep_forever()
        finally:
            raise error

    report = await report_of(server, app)
    assert report.outcome == ("told" if told else "cancelled")
    assert report.exception is error


class Own(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("own"), Own("own")])
async def test_what_reaches_the_server_is_in_the_report_too(error: BaseException) -> None:
    server = Server(REQUEST)
    reports: list[DisconnectReport] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        await current_disconnect().wait()
        raise error

    with pytest.raises(type(error)) as raised:
        await server.run(app, cancel=False, on_disconnect=reports.append)
    assert raised.value is error
    assert [report.exception for report in reports] == [error]


@pytest.mark.parametrize("ends", ["told", "ignored", "cancelled", "overran"])
async def test_without_an_error_of_the_apps_the_report_has_none(ends: str) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        if ends == "told":
            while (await receive())["type"] != "http.disconnect":
                pass
        elif ends == "ignored":
            current_disconnect().ignore()
            await ticks(20)
        else:
            try:
                await anyio.sleep_forever()
            finally:
                if ends == "overran":
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(0.02)
                    await anyio.sleep_forever()

    # What has ended well is not to be late on a busy machine.
    options = {"cleanup_timeout": 0.01} if ends == "overran" else {}
    report = await report_of(server, app, **options)
    assert report.outcome == ends
    assert report.exception is None

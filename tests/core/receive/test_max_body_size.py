"""What is refused: bodies too large, too slow, or lost after they were stored (contract §2)."""

import errno
import logging
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._buffer.spool import Spool
from asgi_disconnect._exchange import answer
from asgi_disconnect._exchange.headers import announces_body

from ..scripted import (
    DISCONNECT,
    HUNG,
    LAST,
    MORE,
    REQUEST,
    START,
    Server,
    http_scope,
    piece,
    ticks,
)

pytestmark = pytest.mark.anyio

WATCHING = [0, 0.005, float("inf")]
FOUR = piece(b"four")
END = piece(b"", more_body=False)


def declared(length: object, **changes: Any) -> dict[str, Any]:
    headers = [(b"content-length", str(length).encode())]
    return http_scope(method="POST", headers=headers, **changes)


def status_of(server: Server) -> int | None:
    """The status of a response that is complete and in good order, None if there is none at all."""
    if not server.sent:
        return None
    assert server.types == ["start", "body"]
    start, body = server.sent
    headers = dict(start["headers"])
    assert headers[b"content-length"] == str(len(body["body"])).encode()
    assert headers[b"content-type"].startswith(b"text/plain")
    assert not body.get("more_body")
    status = start["status"]
    assert isinstance(status, int)
    return status


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """Reads all, and answers."""
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(LAST)


class Working:
    """An app that never reads, and tells how it ended."""

    def __init__(self, *sends: Any, server: Server | None = None) -> None:
        self.sends = sends
        self.events: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.events.append("called")
        for message in self.sends:
            await send(message)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            self.events.append("cancelled")
            raise


# By Content-Length


@pytest.mark.parametrize("buffer", ["ahead", "whole"])
@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_body_declared_too_large_never_reaches_the_app(
    watch_after: float, buffer: str
) -> None:
    server, app = Server(FOUR), Working()
    await server.run(app, declared(11), max_body_size=10, watch_after=watch_after, buffer=buffer)
    assert status_of(server) == 413
    assert app.events == []


DIGITS_PYTHON_REFUSES = 5000


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_length_of_more_digits_than_python_reads_is_too_large(watch_after: float) -> None:
    server, app = Server(FOUR), Working()
    scope = declared("1" * DIGITS_PYTHON_REFUSES)
    await server.run(app, scope, max_body_size=10, watch_after=watch_after)
    assert status_of(server) == 413
    assert app.events == []


async def test_a_length_of_more_digits_than_python_reads_is_no_error_of_its_own() -> None:
    """Without a limit it is the server's to judge; that there is a body is plain."""
    scope = declared("1" * DIGITS_PYTHON_REFUSES)
    assert announces_body(scope["headers"])
    for limit in (None, float("inf")):
        server, reports = Server(FOUR, REQUEST), list[Any]()
        await server.run(answers, scope, max_body_size=limit)
        assert server.sent == [START, LAST]
        server = Server(FOUR, DISCONNECT)
        await server.run(Working(), scope, max_body_size=limit, on_disconnect=reports.append)
        assert [report.phase for report in reports] == ["receiving"]


async def test_zeros_before_a_length_count_for_nothing() -> None:
    zeros = "0" * DIGITS_PYTHON_REFUSES
    for length, status in ((zeros, None), (f"{zeros}10", None), (f"{zeros}11", 413)):
        server = Server(piece(b"", more_body=False))
        await server.run(answers, declared(length), max_body_size=10)
        assert server.sent == [START, LAST] if status is None else status_of(server) == status
    assert not announces_body(declared(zeros)["headers"])


@pytest.mark.parametrize("length", [10, 0, "", "many", "-11", "+11", "1e9", "٣٣"])
async def test_a_body_declared_small_enough_or_not_in_a_number_is_received(length: object) -> None:
    server = Server(FOUR, REQUEST)
    await server.run(answers, declared(length), max_body_size=10)
    assert server.sent == [START, LAST]


async def test_a_number_in_another_header_declares_nothing() -> None:
    server = Server(FOUR, REQUEST)
    scope = declared(8)
    scope["headers"].insert(0, (b"x-length", b"99"))
    await server.run(answers, scope, max_body_size=10)
    assert server.sent == [START, LAST]


@pytest.mark.parametrize(
    ("http_version", "closes"), [("1.0", True), ("1.1", True), ("2", False), ("3", False)]
)
async def test_the_refusal_closes_the_connection_on_http_1_alone(
    http_version: str, closes: bool
) -> None:
    """RFC 9113, 8.2.2: on HTTP/2 the header is forbidden."""
    for scope, messages in ((declared(99), []), (http_scope(), [FOUR, FOUR, FOUR])):
        server = Server(*messages)
        await server.run(Working(), {**scope, "http_version": http_version}, max_body_size=10)
        assert status_of(server) == 413
        assert ((b"connection", b"close") in server.sent[0]["headers"]) is closes


# By what comes


@pytest.mark.parametrize("scope", [http_scope(), declared(5)], ids=["chunked", "lying"])
@pytest.mark.parametrize("last", [False, True])
async def test_an_app_that_works_is_cancelled_when_too_much_has_come(
    scope: Any, last: bool
) -> None:
    server, app = Server(FOUR, FOUR, piece(b"334", more_body=not last)), Working()
    assert await server.run(app, scope, max_body_size=10) is None
    assert status_of(server) == 413
    assert app.events == ["called", "cancelled"]


async def test_it_is_refused_at_the_moment_when_it_is_too_much() -> None:
    """Not at the end of the body, which may never come."""
    server, app = Server(FOUR, FOUR), Working()
    async with anyio.create_task_group() as tasks:

        async def send_more() -> None:
            await ticks(20)
            assert server.sent == []
            server.give(piece(b"22"))
            await ticks(20)
            assert server.sent == []
            server.give(piece(b"1"))

        tasks.start_soon(send_more)
        await server.run(app, max_body_size=10)
    assert status_of(server) == 413
    assert app.events == ["called", "cancelled"]


@pytest.mark.parametrize("limit", [0, 8, 8.5])
@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_body_as_large_as_the_limit_is_received(limit: float, watch_after: float) -> None:
    given = [FOUR, FOUR, END] if limit else [piece(b""), END]
    server, got = Server(*given), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in given:
            got.append(await receive())
        await send(START)
        await send(LAST)

    await server.run(app, max_body_size=limit, watch_after=watch_after)
    assert got == given
    assert server.sent == [START, LAST]


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_an_app_that_reads_gets_what_was_allowed_and_then_the_disconnect(
    watch_after: float,
) -> None:
    """Told, it ends in its own way; what it sends is not sent."""
    server, got = Server(FOUR, FOUR, FOUR), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()) != DISCONNECT:
            got.append(message)
        assert await receive() == DISCONNECT
        await anyio.sleep(0.01)
        await send(START)
        await send(LAST)
        got.append("ended")

    await server.run(app, max_body_size=10, watch_after=watch_after)
    assert got == [FOUR, FOUR, "ended"]
    assert status_of(server) == 413


async def test_an_app_that_is_told_and_goes_on_is_cancelled_after_grace() -> None:
    server, events = Server(piece(bytes(11))), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == DISCONNECT
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            events.append("cancelled")
            raise

    await server.run(app, max_body_size=10, grace=0.01)
    assert events == ["cancelled"]
    assert status_of(server) == 413


@pytest.mark.parametrize("sent", [[START], [START, MORE]])
@pytest.mark.parametrize("why", ["size", "time"])
async def test_nothing_more_is_sent_if_the_response_has_started(sent: list[Any], why: str) -> None:
    given = {"size": [FOUR] * 3, "time": [FOUR]}[why]
    server, app = Server(*given), Working(*sent)
    limits = {"size": {"max_body_size": 10}, "time": {"body_timeout": 0.01}}[why]
    await server.run(app, max_memory=0, **limits)
    assert server.sent == sent
    assert app.events == ["called", "cancelled"]


@pytest.mark.parametrize("first", [[], [LAST]])
async def test_a_response_that_is_complete_is_left_alone(first: list[Any]) -> None:
    """Its body may still be too large; nobody is cancelled for that any more."""
    server = Server()
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(LAST)
        server.give(FOUR, FOUR, FOUR)
        await ticks(20)
        events.append("ended")

    await server.run(app, max_body_size=10)
    assert events == ["ended"]
    assert server.sent == [START, LAST]


async def test_an_app_that_is_never_cancelled_is_refused_all_the_same() -> None:
    server, events = Server(FOUR, FOUR, FOUR), []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await ticks(50)
        assert status_of(server) == 413
        while await receive() != DISCONNECT:
            pass
        await send(START)
        await send(LAST)
        events.append("ended")
        return "returned"

    assert await server.run(app, max_body_size=10, cancel=False) == "returned"
    assert events == ["ended"]
    assert status_of(server) == 413


async def test_a_server_that_cannot_send_the_refusal_harms_nothing() -> None:
    class Gone(Server):
        async def send(self, message: Any) -> None:
            raise OSError("the client has left")

    app = Working()
    for scope in (http_scope(), declared(99)):
        assert await Gone(piece(bytes(11))).run(app, scope, max_body_size=10) is None
    assert app.events == ["called", "cancelled"]


async def test_a_client_that_does_not_take_the_refusal_does_not_hold_the_exchange(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stuck(Server):
        async def send(self, message: Any) -> None:
            await anyio.sleep_forever()

    monkeypatch.setattr(answer, "ANSWER_TIMEOUT", 0.05)
    app = Working()
    for scope in (http_scope(), declared(99)):
        assert await Stuck(piece(bytes(11))).run(app, scope, max_body_size=10) is None
    assert app.events == ["called", "cancelled"]


@pytest.mark.parametrize("scope", [http_scope(), declared(99)], ids=["chunked", "declared"])
async def test_a_server_that_wants_to_be_read_before_its_response_ends_is_read(scope: Any) -> None:
    """Hypercorn: the end puts a disconnect into a queue, which is full of unread body."""

    class Full(Server):
        async def send(self, message: Any) -> None:
            while message["type"] == "http.response.body" and self.messages:
                await ticks(1)
            await super().send(message)

    app = Working()
    server = Full(*[piece(bytes(6))] * 9)
    await server.run(app, scope, max_body_size=10)
    assert status_of(server) == 413
    assert not server.reading


async def test_a_client_that_waits_for_100_continue_is_refused_without_being_asked() -> None:
    scope = declared(99)
    scope["headers"].append((b"expect", b"100-continue"))
    server = Server(FOUR)
    await server.run(Working(), scope, max_body_size=10)
    assert status_of(server) == 413
    assert server.calls == 0


@pytest.mark.parametrize("waits_already", [True, False])
@pytest.mark.parametrize("limit", [{"max_body_size": 10}, {"body_timeout": 1000}, {}])
async def test_a_task_that_the_app_leaves_behind_reads_on_without_us(
    limit: Any, waits_already: bool
) -> None:
    server, got = Server(FOUR), []
    receives: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        receives.append(receive)
        if waits_already:
            await ticks(5)
        await send(START)
        await send(LAST)

    async with anyio.create_task_group() as tasks:

        async def left_behind() -> None:
            while not receives:
                await ticks(1)
            if not waits_already:
                await ended.wait()
            got.append(await receives[0]())
            got.append(await receives[0]())

        ended = anyio.Event()
        tasks.start_soon(left_behind)
        await server.run(app, **limit)
        ended.set()
        await ticks(5)
        server.give(END)
        server.leave()
        tasks.cancel_scope.deadline = anyio.current_time() + HUNG
    assert [message["type"] for message in got] == ["http.request", "http.disconnect"]


async def test_the_operator_is_told_why() -> None:
    causes = []

    def hook(report: Any) -> None:
        causes.append((report.cause, report.status, report.outcome))

    options: dict[str, Any] = {"on_disconnect": hook, "max_body_size": 10, "body_timeout": 0.01}
    await Server(piece(bytes(11))).run(Working(), **options)
    await Server(piece(bytes(10))).run(Working(), **options)
    await Server(piece(bytes(11))).run(Working(START), **options)
    assert causes == [
        ("body_too_large", 413, "cancelled"),
        ("body_timeout", 408, "cancelled"),
        ("body_too_large", 200, "cancelled"),
    ]


# By time


@pytest.mark.parametrize("given", [[], [FOUR], [FOUR, FOUR]])
@pytest.mark.parametrize("buffer", ["ahead", "whole"])
async def test_a_body_whose_next_piece_does_not_come_is_refused(
    given: list[Any], buffer: str
) -> None:
    server, app = Server(*given), Working()
    await server.run(app, body_timeout=0.02, buffer=buffer)
    assert status_of(server) == 408
    assert app.events == (["called", "cancelled"] if buffer == "ahead" else [])


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_an_app_that_waits_for_the_next_piece_is_told(watch_after: float) -> None:
    server, got = Server(FOUR), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append(await receive())
        got.append(await receive())

    await server.run(app, body_timeout=0.02, watch_after=watch_after)
    assert got == [FOUR, DISCONNECT]
    assert status_of(server) == 408


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_body_that_is_complete_has_all_the_time(watch_after: float) -> None:
    server = Server(FOUR, END)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if watch_after:  # else it is read ahead
            assert [await receive(), await receive()] == [FOUR, END]
        with anyio.move_on_after(0.05):
            while True:
                await receive()
        await send(START)
        await send(LAST)

    await server.run(app, body_timeout=0.02, watch_after=watch_after)
    assert server.sent == [START, LAST]


async def test_each_piece_has_the_time_anew() -> None:
    """Many pieces, all of which together take longer than each may."""
    server = Server()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:

            async def client() -> None:
                for _ in range(15):
                    await anyio.sleep(0.1)
                    server.give(FOUR)
                server.give(END)

            tasks.start_soon(client)
            await answers(scope, receive, send)

    await server.run(app, body_timeout=1)
    assert server.sent == [START, LAST]


# Whole bodies


@pytest.mark.parametrize("max_memory", [0, 1 << 20])
async def test_a_whole_body_is_there_before_the_app_is_called(max_memory: int) -> None:
    server, called = Server(), []
    given = [piece(bytes([number]) * 9999) for number in range(20)]

    async def app(scope: Any, receive: Any, send: Any) -> str:
        called.append(True)
        body = b""
        while (message := await receive())["more_body"]:
            body += message["body"]
        assert body + message["body"] == b"".join(message["body"] for message in given)
        await send(START)
        await send(LAST)
        return "returned"

    async with anyio.create_task_group() as tasks:

        async def client() -> None:
            for message in given:
                await ticks(5)
                assert not called
                server.give(message)
            server.give(END)

        tasks.start_soon(client)
        result = await server.run(app, declared(20 * 9999), buffer="whole", max_memory=max_memory)
    assert result == "returned"
    assert called == [True]
    assert server.sent == [START, LAST]


@pytest.mark.parametrize("given", [[], [FOUR], [piece(bytes(99999))] * 3])
async def test_a_client_that_leaves_in_mid_upload_never_reaches_the_app(given: list[Any]) -> None:
    server, app = Server(*given, DISCONNECT), Working()
    assert await server.run(app, buffer="whole", max_memory=0) is None
    assert app.events == []
    assert server.sent == []


async def test_whole_bodies_have_their_limits_too() -> None:
    server, app = Server(FOUR, FOUR, FOUR), Working()
    await server.run(app, buffer="whole", max_body_size=10)
    assert status_of(server) == 413
    assert app.events == []


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_watching_begins_when_the_app_is_called(watch_after: float) -> None:
    server = Server(FOUR, END)
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise

    await server.run(app, buffer="whole", watch_after=watch_after)
    assert cancelled == [True]


async def test_a_client_that_waits_for_100_continue_is_asked_for_a_whole_body() -> None:
    """Nobody else would ask for it."""
    server = Server(FOUR, END)
    scope = declared(4)
    scope["headers"].append((b"expect", b"100-continue"))
    await server.run(answers, scope, buffer="whole")
    assert server.sent == [START, LAST]


async def test_a_caller_that_cancels_in_mid_upload_is_heard() -> None:
    server, app = Server(FOUR), Working()
    with anyio.fail_after(HUNG), anyio.move_on_after(0.02) as callers:
        await server.run(app, buffer="whole")
    assert callers.cancelled_caught
    assert app.events == []
    assert not server.reading


async def test_a_receive_that_raises_in_mid_upload_raises_in_the_app() -> None:
    class Broken(Server):
        async def receive(self) -> Any:
            if not self.messages:
                raise ZeroDivisionError
            return await super().receive()

    got = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append(await receive())
        await receive()

    with pytest.raises(ZeroDivisionError):
        await Broken(FOUR).run(app, buffer="whole")
    assert got == [FOUR]


# Lost: what the disk has taken and does not give back


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much has been stored, and cannot be read back."""
    stored: list[int] = []
    write = Spool._write

    def count(*arguments: Any) -> int:
        stored.append(write(*arguments))
        return stored[-1]

    def read(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Spool, "_write", count)
    monkeypatch.setattr(Spool, "_read", read)
    return stored


class ReadingLate:
    """An app that reads when more has come than memory holds, and tells what it got."""

    def __init__(self, stored: list[int], *sends: Any) -> None:
        self.sends = sends
        self.stored = stored
        self.got: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        for message in self.sends:
            await send(message)
        while not self.stored:
            await ticks(1)
        while not self.got or self.got[-1] != DISCONNECT:
            self.got.append(await receive())
        self.got.append(await receive())
        await send(START)
        await send(LAST)


@pytest.mark.parametrize("room", [1 << 20, 10_000], ids=["watched", "paused"])
async def test_a_body_that_is_lost_is_refused_and_the_reason_logged(
    room: float, unreadable: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """The app gets what comes before the gap, and never what comes after; no `OSError` of ours."""
    given = [piece(bytes([number]) * 999) for number in range(100)]
    server, app = Server(*given), ReadingLate(unreadable)
    await server.run(app, max_memory=0, max_disk=room)
    assert status_of(server) == 503
    assert app.got[-2:] == [DISCONNECT, DISCONNECT]
    body = b"".join(message["body"] for message in app.got[:-2])
    assert b"".join(message["body"] for message in given).startswith(body)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Input/output error" in caplog.records[0].getMessage()


@pytest.mark.parametrize("sent", [[START], [START, MORE]])
async def test_nothing_more_is_sent_if_a_body_is_lost_after_the_responses_start(
    sent: list[Any], unreadable: list[int]
) -> None:
    server, app = Server(*[piece(bytes(999))] * 20), ReadingLate(unreadable, *sent)
    await server.run(app, max_memory=0)
    assert server.sent == sent
    assert app.got[-2:] == [DISCONNECT, DISCONNECT]


async def test_a_lost_body_is_read_on_for_nobody_by_one_at_a_time(unreadable: list[int]) -> None:
    """Hypercorn ends no response before; and the watcher may be in the server's `receive`."""

    class Full(Server):
        async def send(self, message: Any) -> None:
            while message["type"] == "http.response.body" and self.messages:
                await ticks(1)
            await super().send(message)

    for room in (1 << 20, 10_000):
        unreadable.clear()
        server, app = Full(*[piece(bytes(999))] * 100), ReadingLate(unreadable)
        await server.run(app, max_memory=0, max_disk=room)
        assert status_of(server) == 503


async def test_nobody_reads_on_for_a_lost_body_before_the_watcher_has_come_out(
    unreadable: list[int],
) -> None:
    """Of the server's `receive`; and then somebody does."""

    class Slow(Server):
        twice = False

        async def receive(self) -> Any:
            self.twice = self.twice or self.reading
            return await super().receive()

        async def send(self, message: Any) -> None:
            if message["type"] == "http.response.body":
                await ticks(5)  # whoever is to read is in the server's `receive` by now
                self.give(*[FOUR] * 5)
                while self.messages:
                    await ticks(1)
            await super().send(message)

    server, got = Slow(*[piece(bytes(999))] * 20), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while server.messages or not server.reading:
            await ticks(1)
        while not got or got[-1] != DISCONNECT:
            got.append(await receive())
        await ticks(20)

    await server.run(app, max_memory=0)
    assert status_of(server) == 503
    assert not server.twice


async def test_the_operator_is_told_that_a_body_was_lost(unreadable: list[int]) -> None:
    reports: list[Any] = []
    server = Server(*[piece(bytes(999))] * 20)
    await server.run(ReadingLate(unreadable), max_memory=0, on_disconnect=reports.append)
    told = [(report.cause, report.status, report.outcome) for report in reports]
    assert told == [("no_storage", 503, "cancelled")]


async def test_no_other_request_is_harmed(unreadable: list[int]) -> None:
    unharmed = [Server(*[piece(bytes(100))] * 5, REQUEST) for _ in range(5)]
    refused = [Server(*[piece(bytes(9999))] * 5) for _ in range(5)]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while len(unreadable) < 5:
            await ticks(1)
        await answers(scope, receive, send)

    middleware = DisconnectMiddleware(app, watch_after=0, max_memory=0)
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            for server in (*unharmed, *refused):
                tasks.start_soon(middleware, http_scope(), server.receive, server.send)
    assert all(server.sent == [START, LAST] for server in unharmed)
    assert [status_of(server) for server in refused] == [503] * 5

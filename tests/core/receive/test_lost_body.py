"""What was stored and cannot be read back ends the exchange with 503 (contract §2)."""

import errno
import logging
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._buffer.spool import Spool

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
from .refusals import FOUR, answers, status_of

pytestmark = pytest.mark.anyio


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

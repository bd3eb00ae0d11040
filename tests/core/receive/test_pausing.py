"""Where the disk has no room or fails, reading ahead pauses: nothing is refused or lost (§2)."""

import contextlib
import errno
import logging
import os
import tempfile
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from ..scripted import DISCONNECT, HUNG, LAST, START, Server, http_scope, piece, ticks

pytestmark = pytest.mark.anyio

SIZE = 1500
"""Of a piece: too large for two of them to be joined where there is little memory."""
PIECES = [piece(bytes([number]) * SIZE) for number in range(100)]
END = piece(b"the end", more_body=False)
WHOLE = b"".join(message["body"] for message in PIECES) + b"the end"


@pytest.fixture
def no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent/folder")


@pytest.fixture(params=["no disk", "a small one", "one that fails"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Options with which there is no room for `PIECES`."""
    if request.param == "one that fails":
        monkeypatch.setattr(tempfile, "tempdir", "/nonexistent/folder")
    return {"max_memory": 0, "max_disk": 20_000 if request.param == "a small one" else 0} | (
        {"max_disk": 1 << 28} if request.param == "one that fails" else {}
    )


async def paused(server: Server) -> None:
    """Return when nobody reads any more, though there is something to be read."""
    with anyio.fail_after(HUNG):
        for _ in range(3):
            calls = -1
            while calls != server.calls or server.reading:
                calls = server.calls
                await anyio.sleep(0.01)  # a thread may be at work
    assert server.messages


async def read_all(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        if not message["more_body"]:
            return body


async def respond(send: Any) -> None:
    await send(START)
    await send(LAST)


async def test_an_app_that_reads_late_gets_all_of_it_in_order(disk: Any) -> None:
    server = Server(*PIECES, END)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        assert await read_all(receive) == WHOLE
        server.leave()
        assert await receive() == DISCONNECT
        assert await receive() == DISCONNECT

    await server.run(app, **disk)
    assert server.sent == []
    assert server.cancelled_reads == 0


async def test_an_app_that_never_reads_is_served_as_ever(disk: Any) -> None:
    """And nobody is left in the server's `receive`."""
    server = Server(*PIECES, END)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await paused(server)
        await respond(send)
        return "returned"

    assert await server.run(app, **disk) == "returned"
    assert server.sent == [START, LAST]
    assert len(server.messages) > 50


async def test_it_reads_a_piece_for_each_that_the_app_reads(disk: Any) -> None:
    server = Server(*PIECES, END)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        before = server.calls
        taken = 0
        while taken < 30 * SIZE:
            taken += len((await receive())["body"])
            await ticks(10)
        await paused(server)
        # What is in the file is used again when all of it has been read.
        assert before < server.calls <= before + 40

    await server.run(app, **disk)


@pytest.mark.parametrize("first", [1, 3, 10, 90])
async def test_an_app_that_reads_and_pauses_itself_gets_all_of_it(disk: Any, first: int) -> None:
    server = Server(*PIECES, END)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        for _ in range(first):
            body += (await receive())["body"]
        await paused(server) if first < 90 else await ticks(20)
        assert body + await read_all(receive) == WHOLE
        await respond(send)

    await server.run(app, **disk)
    assert server.sent == [START, LAST]


async def test_a_departure_is_seen_when_the_app_has_read(disk: Any) -> None:
    """Not before: the server's own flow control holds the client, as without us."""
    server = Server(*PIECES, DISCONNECT)
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        body = b""
        while len(body) < 100 * SIZE:
            body += (await receive())["body"]
        events.append("read")
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            events.append("cancelled")
            raise

    await server.run(app, **disk)
    assert events == ["read", "cancelled"]


async def test_a_body_whose_last_piece_has_no_room_is_watched_on() -> None:
    """There is nothing to come but the disconnect."""
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise

    server = Server(piece(bytes(500)), piece(bytes(99_999), more_body=False))
    await server.run(app, max_memory=0, max_disk=0)
    assert cancelled == [True]


async def test_no_time_runs_while_it_pauses(disk: Any) -> None:
    server = Server(*PIECES)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        await anyio.sleep(0.2)  # time itself is under test
        server.give(END)
        assert await read_all(receive) == WHOLE
        await respond(send)

    await server.run(app, body_timeout=0.1, **disk)
    assert server.sent == [START, LAST]


async def test_the_time_runs_again_when_it_reads_again(disk: Any) -> None:
    server, got = Server(*PIECES), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        while not got or got[-1] != DISCONNECT:
            got.append(await receive())

    await server.run(app, body_timeout=0.05, **disk)
    assert server.sent[0]["status"] == 408


async def test_a_body_that_is_too_large_is_refused_when_it_is_read(disk: Any) -> None:
    server, got = Server(*PIECES, END), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        while not got or got[-1] != DISCONNECT:
            got.append(await receive())

    await server.run(app, max_body_size=60 * SIZE, **disk)
    assert server.sent[0]["status"] == 413
    assert sum(len(message["body"]) for message in got[:-1]) == 60 * SIZE


async def test_a_whole_body_for_which_there_is_no_room_is_given_as_it_comes(disk: Any) -> None:
    """Nobody else would make room for it."""
    server, called = Server(*PIECES, END), list[int]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.append(server.calls)
        assert await read_all(receive) == WHOLE
        await respond(send)

    await server.run(app, buffer="whole", **disk)
    assert server.sent == [START, LAST]
    assert 1 <= called[0] < 50  # what there was room for


async def test_a_disconnect_that_the_servers_send_tells_is_told_after_all_that_was_read(
    disk: Any,
) -> None:
    class Gone(Server):
        async def send(self, message: Any) -> None:
            raise OSError("the client has left")

    server = Gone(*PIECES, END)
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        calls = server.calls
        with pytest.raises(OSError, match="has left"):
            await send(START)
        while not got or got[-1] != DISCONNECT:
            got.append(await receive())
        got.append(await receive())
        assert server.calls == calls  # nothing more is read

    await server.run(app, **disk)
    assert got[-2:] == [DISCONNECT, DISCONNECT]
    body = b"".join(message["body"] for message in got[:-2])
    assert len(body) >= SIZE
    assert WHOLE.startswith(body)


async def test_after_a_disconnect_that_the_servers_send_tells_no_piece_comes() -> None:
    """Though the watcher is in the server's `receive`, which brings one."""

    class Gone(Server):
        async def send(self, message: Any) -> None:
            raise OSError("the client has left")

    server = Gone(piece(b"first"))
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append(await receive())
        await wait_until(lambda: server.reading)
        with pytest.raises(OSError, match="has left"):
            await send(START)
        got.append(await receive())
        server.give(piece(b"second"))
        await ticks(5)
        got.append(await receive())

    await server.run(app)
    assert got == [piece(b"first"), DISCONNECT, DISCONNECT]


async def test_a_caller_that_cancels_while_it_pauses_is_heard(disk: Any) -> None:
    server = Server(*PIECES, END)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        callers.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as callers:
        await server.run(app, **disk)
    assert callers.cancelled_caught
    assert not server.reading


async def test_a_task_that_the_app_leaves_behind_misses_nothing_where_the_disk_was_not_used() -> (
    None
):
    server, receives = Server(*PIECES, END), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(server)
        receives.append(receive)
        await respond(send)

    await server.run(app, max_memory=0, max_disk=0)
    with anyio.fail_after(HUNG):
        assert await read_all(receives[0]) == WHOLE


@pytest.mark.usefixtures("no_place")
async def test_a_disk_that_fails_is_logged_once_for_all_requests(
    caplog: pytest.LogCaptureFixture,
) -> None:
    servers = [Server(*PIECES, END) for _ in range(5)]
    bodies = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await paused(servers[scope["number"]])
        bodies.append(await read_all(receive))
        await respond(send)

    middleware = DisconnectMiddleware(app, watch_after=0, max_memory=0)
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            for number, server in enumerate(servers):
                scope = http_scope(number=number)
                tasks.start_soon(middleware, scope, server.receive, server.send)
    assert bodies == [WHOLE] * 5
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "/nonexistent/folder" in caplog.records[0].getMessage()


@pytest.mark.parametrize("taken", [0, 700])
async def test_a_disk_that_fails_in_the_midst_loses_nothing_and_is_used_again_once_it_works(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has taken a part of what it was given."""
    full = True
    server = Server(*PIECES)

    def open_temporary(*arguments: Any, **options: Any) -> Any:
        file = open_before(*arguments, **options)

        class Full:
            def write(self, data: Any) -> int:
                if not full or file.tell() < 9 * SIZE:
                    return int(file.write(data[:1000]))  # never all at once
                if len(data) > taken > 0:
                    return int(file.write(data[:taken]))
                raise OSError(errno.ENOSPC, "No space left on device")

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

        return Full()

    open_before = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", open_temporary)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal full
        await paused(server)
        full = False
        body = (await receive())["body"] + (await receive())["body"]
        server.give(END)
        assert body + await read_all(receive) == WHOLE
        await respond(send)

    await server.run(app, max_memory=0)
    assert server.sent == [START, LAST]


async def wait_until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(HUNG):
        while not condition():
            await ticks(1)


async def test_all_exchanges_share_the_disk_and_one_that_ends_lets_the_others_read_on() -> None:
    """So a departure is seen that was hidden behind a full disk."""
    hidden, first = Server(*PIECES[:40], DISCONNECT), Server(*PIECES, END)
    events: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            await paused(first)
            tasks.start_soon(middleware, http_scope(path="/hidden"), hidden.receive, hidden.send)
            await wait_until(lambda: hidden.calls)
            await paused(hidden)
            await respond(send)
            events.append("first ends")
        else:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                events.append("hidden is cancelled")
                raise

    # The first gets a half, the other a quarter as long as the first is there.
    middleware = DisconnectMiddleware(app, watch_after=0, max_memory=0, max_disk=100 * SIZE)
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            await middleware(http_scope(path="/first"), first.receive, first.send)
    assert events == ["first ends", "hidden is cancelled"]
    assert middleware._options.disk_quota.used == 0


@pytest.mark.parametrize("max_disk", [0, 10_000, 1 << 28])
async def test_the_files_stay_under_the_bound(max_disk: int, files: list[Any]) -> None:
    """`max_disk=0`: there is none at all."""
    servers = [Server(*PIECES) for _ in range(5)]
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server = servers[scope["number"]]
        if max_disk < 1 << 28:
            await paused(server)
        else:
            await wait_until(lambda: not server.messages)
        sizes.append(0)
        for file in files:
            with contextlib.suppress(OSError, ValueError):  # closed by now
                sizes[-1] += os.fstat(file.fileno()).st_size

    middleware = DisconnectMiddleware(app, watch_after=0, max_memory=0, max_disk=max_disk)
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            for number, server in enumerate(servers):
                scope = http_scope(number=number)
                tasks.start_soon(middleware, scope, server.receive, server.send)
    assert max(sizes) <= max_disk
    assert bool(files) is bool(max_disk)
    assert all(file.closed for file in files)

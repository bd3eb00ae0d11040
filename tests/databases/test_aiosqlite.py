"""aiosqlite: each connection is a thread, which no cancellation reaches; `interrupt` does.

Contract §4.4 and §6.  Without the interruption the request's cleanup, which closes the connection,
waits for the query: for `cleanup_timeout` at most, and the thread works on.
"""

import logging
import random
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import pytest

from asgi_disconnect import current_disconnect, interrupting

from ..core.scripted import HUNG, LAST, REQUEST, START, Server

pytestmark = pytest.mark.anyio

FOREVER = """
    with recursive numbers(n) as (select tick() union all select n + 1 from numbers)
    select count(*) from numbers
"""
INSERT = "insert into entries values (?)"


class Database:
    """One file, with a table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tick = threading.Event()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute("create table entries (mark text)")

    def marks(self) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection:
            return [mark for (mark,) in connection.execute("select mark from entries")]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Commits at its end; is interrupted when the client leaves."""
        async with current_disconnect().critical():
            # Cancelled while it connects, aiosqlite forgets to close the connection.
            connection = await aiosqlite.connect(self.path)
        try:
            with interrupting(connection):
                await connection.create_function("tick", 0, self._tick)
                yield connection
                await connection.commit()
        finally:
            await connection.close()

    def _tick(self) -> int:
        self.tick.set()
        return 1


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "database")


def assert_ended(before: list[threading.Thread]) -> None:
    """The threads that have been started since `before` have ended, or do now."""
    for thread in threading.enumerate():
        if thread not in before and "AnyIO" not in thread.name:
            thread.join(HUNG)
            assert not thread.is_alive()


@asynccontextmanager
async def exchange(app: Any) -> Any:
    """The server's side of one exchange, which is over at the end."""
    server = Server(REQUEST)

    async def called(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await app()
        await send(START)
        await send(LAST)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, called)
        yield server


async def test_an_abandoned_query_is_interrupted(database: Database) -> None:
    threads = threading.enumerate()

    async def app() -> None:
        async with database.transaction() as connection:
            await connection.execute(INSERT, ["half"])
            await connection.execute(FOREVER)

    async with exchange(app) as server:
        await anyio.to_thread.run_sync(database.tick.wait, HUNG)
        server.leave()
    assert_ended(threads)
    assert server.sent == []
    assert database.marks() == []


async def test_a_transaction_is_rolled_back_between_statements(database: Database) -> None:
    inserted = anyio.Event()

    async def app() -> None:
        async with database.transaction() as connection:
            await connection.execute(INSERT, ["half"])
            inserted.set()
            await anyio.sleep_forever()

    async with exchange(app) as server:
        await inserted.wait()
        server.leave()
    assert database.marks() == []


async def test_a_critical_transaction_commits(database: Database) -> None:
    async def app() -> None:
        disconnect = current_disconnect()
        async with disconnect.critical(), aiosqlite.connect(database.path) as connection:
            await connection.execute(INSERT, ["whole"])
            await disconnect.wait()
            await connection.execute(INSERT, ["whole"])
            await connection.commit()
        await anyio.sleep_forever()

    async with exchange(app) as server:
        server.leave()
    assert server.sent == []
    assert database.marks() == ["whole", "whole"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_storm_of_abandoned_requests_leaves_no_lock_and_no_thread(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    threads = threading.enumerate()
    chance = random.Random(4)
    committed = []
    at_once = anyio.CapacityLimiter(10)

    async def request(number: int) -> None:
        async def app() -> None:
            async with database.transaction() as connection:
                await connection.execute(INSERT, [number])
                await anyio.sleep(0.001)
                await connection.execute(INSERT, [number])
            committed.append(str(number))

        async with at_once, exchange(app) as server:
            await anyio.sleep(chance.uniform(0, 0.02))  # the moment is what is tested
            server.leave()

    async with anyio.create_task_group() as tasks:
        for number in range(2000):
            tasks.start_soon(request, number)
    marks = database.marks()
    assert {marks.count(mark) for mark in marks} == {2}
    assert set(committed) <= set(marks)
    assert_ended(threads)
    with closing(sqlite3.connect(database.path, timeout=0)) as connection:
        connection.execute("insert into entries values ('unlocked')")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

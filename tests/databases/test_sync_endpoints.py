"""Sync endpoints: a thread cannot be cancelled, but its query can, by a callback (contract §6).

FastAPI runs them in threads, which its cancelled request waits for.
"""

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
)
from pathlib import Path
from typing import Any

import anyio
import pytest
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from asgi_disconnect import current_disconnect, interrupting

from ..core.scripted import HUNG, REQUEST, Server, http_scope
from .activity import Activity
from .postgresql import PostgreSQL

fastapi = pytest.importorskip("fastapi")

pytestmark = pytest.mark.anyio

Execute = Callable[[str], Any]
Transaction = Callable[[], AbstractContextManager[Execute]]
"""Takes a connection, which is interrupted when the client leaves."""

SIZE = 5
FOREVER = "select pg_sleep(60) /* {} */"
INSERT = "insert into entries (mark) values ('{}')"


@contextmanager
def psycopg(postgresql: PostgreSQL) -> Iterator[Transaction]:
    @contextmanager
    def transaction() -> Iterator[Execute]:
        with pool.connection() as connection, interrupting(connection):
            yield connection.execute

    with ConnectionPool(postgresql.url(), min_size=SIZE, max_size=SIZE, open=False) as pool:
        yield transaction


@contextmanager
def sqlalchemy(postgresql: PostgreSQL) -> Iterator[Transaction]:
    engine = create_engine(postgresql.url("psycopg"), pool_size=SIZE, max_overflow=0)

    @contextmanager
    def transaction() -> Iterator[Execute]:
        with engine.begin() as connection, interrupting(connection):
            yield lambda statement: connection.execute(text(statement))

    yield transaction
    engine.dispose()


@contextmanager
def session(postgresql: PostgreSQL) -> Iterator[Transaction]:
    engine = create_engine(postgresql.url("psycopg"), pool_size=SIZE, max_overflow=0)

    @contextmanager
    def transaction() -> Iterator[Execute]:
        with Session(engine) as session, interrupting(session), session.begin():
            yield lambda statement: session.execute(text(statement))

    yield transaction
    engine.dispose()


@pytest.fixture(params=[psycopg, sqlalchemy, session])
def transaction(
    request: pytest.FixtureRequest, postgresql: PostgreSQL, activity: Activity
) -> Iterator[Transaction]:
    with request.param(postgresql) as transaction:
        yield transaction


@asynccontextmanager
async def exchange(endpoint: Callable[[], Any]) -> Any:
    """The server's side of one exchange with FastAPI, which is over at the end."""
    app = fastapi.FastAPI()
    app.get("/")(endpoint)
    server = Server(REQUEST)
    scope = http_scope(query_string=b"", root_path="")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, app, scope)
        yield server


async def test_an_abandoned_query_is_gone_at_once(
    transaction: Transaction, activity: Activity
) -> None:
    def endpoint() -> None:
        with transaction() as execute:
            execute(INSERT.format("half"))
            execute(FOREVER.format("abandoned"))

    async with exchange(endpoint) as server:
        await activity.wait_until_running("abandoned")
        server.leave()
        await activity.wait_until_gone("abandoned")
    assert server.sent == []
    assert activity.entries("half") == 0
    assert activity.idle_in_transaction() == 0


async def test_a_query_of_a_client_that_stays_is_answered(
    transaction: Transaction, activity: Activity
) -> None:
    def endpoint() -> str:
        with transaction() as execute:
            execute("select pg_sleep(0.05)")
            execute(INSERT.format("stayed"))
        return "done"

    async with exchange(endpoint) as server:
        pass
    assert server.sent[0]["status"] == 200
    assert activity.entries("stayed") == 1


async def test_a_critical_transaction_commits(transaction: Transaction, activity: Activity) -> None:
    known = anyio.Event()

    async def know() -> None:
        known.set()

    def endpoint() -> None:
        disconnect = current_disconnect()
        disconnect.add_callback(know)
        with disconnect.critical(), transaction() as execute:
            execute(INSERT.format("whole"))
            execute(f"{statement} /* working */")
            assert disconnect.is_set()
            execute(INSERT.format("whole"))

    async with exchange(endpoint) as server:
        with activity.holding_back() as statement:
            await activity.wait_until_running("working")
            server.leave()
            with anyio.fail_after(HUNG):
                await known.wait()
            await anyio.sleep(0.25)  # long enough to interrupt what is not critical
    assert activity.entries("whole") == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_storm_of_abandoned_requests_cancels_nobody_elses_query(
    transaction: Transaction, activity: Activity
) -> None:
    chance = random.Random(4)
    answered = 0
    at_once = anyio.CapacityLimiter(4 * SIZE)

    async def request(number: int) -> None:
        nonlocal answered
        stays = number % 2 == 0
        mark = f"storm {number}"

        def endpoint() -> None:
            with transaction() as execute:
                execute(INSERT.format(mark))
                execute("select pg_sleep(0.004)")
                execute(INSERT.format(mark))

        async with at_once, exchange(endpoint) as server:
            if not stays:
                await anyio.sleep(chance.uniform(0, 0.05))  # the moment is what is tested
                server.leave()
        if stays:
            assert server.sent[0]["status"] == 200, server.sent
            answered += 1

    with anyio.fail_after(8 * HUNG):
        async with anyio.create_task_group() as tasks:
            for number in range(2000):
                tasks.start_soon(request, number)
    assert answered == 1000
    await activity.wait_until_settled(connections=SIZE)
    assert activity.rows("select mark from entries group by mark having count(*) <> 2") == []


async def test_a_sqlite_query_is_interrupted(tmp_path: Path) -> None:
    story = []
    started = anyio.Event()

    def endpoint() -> None:
        with (
            closing(sqlite3.connect(tmp_path / "database")) as connection,
            interrupting(connection),
        ):
            connection.execute("create table entries (mark text)")
            connection.commit()
            connection.execute("insert into entries values ('half')")
            anyio.from_thread.run_sync(started.set)
            try:
                connection.execute(
                    "with recursive n(i) as (select 1 union all select i + 1 from n)"
                    " select count(*) from n"
                ).fetchall()
            except sqlite3.OperationalError as error:
                story.append(str(error))
                raise

    async with exchange(endpoint) as server:
        await started.wait()
        server.leave()
    assert story == ["interrupted"]
    with closing(sqlite3.connect(tmp_path / "database")) as connection:
        assert connection.execute("select * from entries").fetchall() == []

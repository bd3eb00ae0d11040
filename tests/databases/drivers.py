"""The drivers and their pools, all asked for the same: a transaction in which to run statements.

All of them run on asyncio only.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from asgi_disconnect import current_disconnect

from .postgresql import PostgreSQL

SIZE = 5
"""How many connections each pool keeps."""

Execute = Callable[[str], Awaitable[Any]]


@dataclass
class Pool:
    """A pool of `SIZE` connections."""

    transaction: Callable[[], AbstractAsyncContextManager[Execute]]
    """Takes a connection and begins; commits, or rolls back, and gives it back."""
    made: list[Any]
    """Grows with every connection that is made."""
    keeps_cancelled: bool
    """Whether a connection whose query was cancelled is used again.

    SQLAlchemy closes it, as it does after every exception that is no `Exception`.
    """


@asynccontextmanager
async def psycopg(postgresql: PostgreSQL) -> AsyncIterator[Pool]:
    made = []

    async def configure(connection: Any) -> None:
        made.append(connection.info.backend_pid)

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Execute]:
        async with AsyncExitStack() as stack:
            async with undisturbed():
                connection = await pool.getconn()
                stack.push_async_callback(give_back, connection)
            yield (await stack.enter_async_context(connection)).execute

    async def give_back(connection: Any) -> None:
        async with undisturbed():
            await pool.putconn(connection)

    @asynccontextmanager
    async def undisturbed() -> AsyncIterator[None]:
        disconnect = current_disconnect(None)
        if sys.version_info >= (3, 12) or disconnect is None:
            yield
            return
        # psycopg_pool loses the connection that a task is given, or the task that is next in its
        # queue, when it is cancelled meanwhile (3.3.3, by task.cancel() alone too), because of
        # what asyncio.wait_for was before Python 3.12.
        async with disconnect.critical():
            yield

    async with AsyncConnectionPool(
        postgresql.url(), min_size=SIZE, max_size=SIZE, open=False, configure=configure
    ) as pool:
        await pool.wait()
        yield Pool(transaction, made, keeps_cancelled=True)


@asynccontextmanager
async def asyncpg_(postgresql: PostgreSQL) -> AsyncIterator[Pool]:
    made = []

    async def init(connection: Any) -> None:
        made.append(connection.get_server_pid())

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Execute]:
        async with pool.acquire() as connection, connection.transaction():
            yield connection.execute

    async with asyncpg.create_pool(
        postgresql.url(), min_size=SIZE, max_size=SIZE, init=init
    ) as pool:
        yield Pool(transaction, made, keeps_cancelled=True)


@asynccontextmanager
async def _sqlalchemy(url: str, *, sessions: bool = False) -> AsyncIterator[Pool]:
    made = []
    engine = create_async_engine(url, pool_size=SIZE, max_overflow=0)

    @event.listens_for(engine.sync_engine, "connect")
    def _(connection: Any, record: Any) -> None:
        made.append(record)

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Execute]:
        async with session() if sessions else engine.begin() as connection:

            async def execute(statement: str) -> Any:
                return await connection.execute(text(statement))

            yield execute

    def session() -> AsyncSession:
        return AsyncSession(engine)  # rolls back at its end: nobody commits

    try:
        yield Pool(transaction, made, keeps_cancelled=False)
    finally:
        await engine.dispose()


def sqlalchemy_psycopg(postgresql: PostgreSQL) -> AbstractAsyncContextManager[Pool]:
    return _sqlalchemy(postgresql.url("psycopg"))


def sqlalchemy_asyncpg(postgresql: PostgreSQL) -> AbstractAsyncContextManager[Pool]:
    return _sqlalchemy(postgresql.url("asyncpg"))


def session_psycopg(postgresql: PostgreSQL) -> AbstractAsyncContextManager[Pool]:
    return _sqlalchemy(postgresql.url("psycopg"), sessions=True)


def session_asyncpg(postgresql: PostgreSQL) -> AbstractAsyncContextManager[Pool]:
    return _sqlalchemy(postgresql.url("asyncpg"), sessions=True)


DRIVERS = {
    "psycopg": psycopg,
    "asyncpg": asyncpg_,
    "sqlalchemy-psycopg": sqlalchemy_psycopg,
    "sqlalchemy-asyncpg": sqlalchemy_asyncpg,
    "session-psycopg": session_psycopg,
    "session-asyncpg": session_asyncpg,
}

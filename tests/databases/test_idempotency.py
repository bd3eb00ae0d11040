"""A payment with a key, as "Handlers that can be cancelled" shows it, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from asgi_disconnect import DisconnectMiddleware

from ..docs.pages import ROOT, blocks_of
from ..frameworks.connection import Connection
from .activity import Activity
from .postgresql import PostgreSQL

pytestmark = pytest.mark.anyio

PAGE = ROOT / "docs" / "guides" / "handlers.md"


@pytest.fixture
def pay() -> Any:
    if not PAGE.exists():
        pytest.skip("the documentation is not here")
    names: dict[str, Any] = {}
    (block,) = (block for block in blocks_of(PAGE) if "async def pay(" in block.code)
    block.run(names)
    return names["pay"]


@pytest.fixture
async def pool(postgresql: PostgreSQL, activity: Activity) -> AsyncIterator[AsyncConnectionPool]:
    with psycopg.connect(postgresql.url(), autocommit=True) as connection:
        connection.execute("drop table if exists payments, accounts")
        connection.execute("create table payments (key text primary key, amount int)")
        connection.execute("create table accounts (balance int)")
        connection.execute("insert into accounts values (100)")
    async with AsyncConnectionPool(postgresql.url(), min_size=2, max_size=2) as pool:
        yield pool
    with psycopg.connect(postgresql.url(), autocommit=True) as connection:
        connection.execute("drop table payments, accounts")


async def balance(pool: AsyncConnectionPool) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute("select balance from accounts")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_a_cancelled_try_leaves_no_key_and_the_next_pays_once(
    pool: AsyncConnectionPool, pay: Any, postgresql: PostgreSQL, activity: Activity
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pay(pool, "key", 30)

    guarded = DisconnectMiddleware(app, watch_after=0)
    # Somebody else holds the account, so that the first try waits in the middle of its transaction.
    async with await psycopg.AsyncConnection.connect(postgresql.url()) as holder:
        await holder.execute("select * from accounts for update")
        client = Connection()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(guarded, client.scope, client.receive, client.send)
            await activity.wait_until_running("update accounts")
            client.leave()
        await holder.rollback()
    assert await balance(pool) == 100
    for _ in range(2):
        await pay(pool, "key", 30)
    assert await balance(pool) == 70

"""Async drivers and their pools: an abandoned query stops, and what it held is given back.

Contract §4.4: the driver's own cleanup, which awaits, is not cancelled again.
"""

import gc
import logging
import random
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_disconnect import current_disconnect

from ..core.scripted import HUNG, LAST, REQUEST, START, Server
from .activity import Activity
from .drivers import SIZE, Pool

pytestmark = pytest.mark.anyio

FOREVER = "select pg_sleep(60) /* {} */"
INSERT = "insert into entries (mark) values ('{}')"


@asynccontextmanager
async def exchange(app: Any, **options: Any) -> Any:
    """The server's side of one exchange, which is over at the end."""
    server = Server(REQUEST)

    async def called(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await app()
        await send(START)
        await send(LAST)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: server.run(called, **options))
        yield server


async def can_all_be_taken(pool: Pool) -> None:
    """Every connection of the pool is there, and works."""
    with anyio.fail_after(HUNG):
        async with AsyncExitStack() as stack:
            for _ in range(SIZE):
                execute = await stack.enter_async_context(pool.transaction())
                await execute("select 1")


async def test_an_abandoned_query_is_gone_at_once(pool: Pool, activity: Activity) -> None:
    async def app() -> None:
        async with pool.transaction() as execute:
            await execute(FOREVER.format("abandoned"))

    async with exchange(app) as server:
        await activity.wait_until_running("abandoned")
        server.leave()
        await activity.wait_until_gone("abandoned")
    assert server.sent == []
    await can_all_be_taken(pool)


async def test_a_query_of_a_client_that_stays_is_answered(pool: Pool, activity: Activity) -> None:
    async def app() -> None:
        async with pool.transaction() as execute:
            await execute("select pg_sleep(0.05)")
            await execute(INSERT.format("stayed"))

    async with exchange(app) as server:
        pass
    assert server.types == ["start", "body"]
    assert activity.entries("stayed") == 1


async def test_a_transaction_is_rolled_back_in_a_query(pool: Pool, activity: Activity) -> None:
    async def app() -> None:
        async with pool.transaction() as execute:
            await execute(INSERT.format("half"))
            await execute(FOREVER.format("working"))

    async with exchange(app) as server:
        await activity.wait_until_running("working")
        server.leave()
    assert activity.entries("half") == 0
    await activity.wait_until_settled(connections=SIZE)  # psycopg's close waits for nobody
    await can_all_be_taken(pool)


async def test_a_transaction_is_rolled_back_between_queries(pool: Pool, activity: Activity) -> None:
    inserted = anyio.Event()

    async def app() -> None:
        async with pool.transaction() as execute:
            await execute(INSERT.format("half"))
            inserted.set()
            await anyio.sleep_forever()

    async with exchange(app) as server:
        await inserted.wait()
        server.leave()
    assert activity.entries("half") == 0
    assert activity.idle_in_transaction() == 0
    await can_all_be_taken(pool)


async def test_a_critical_transaction_commits(pool: Pool, activity: Activity) -> None:
    story = []

    async def app() -> None:
        disconnect = current_disconnect()
        async with disconnect.critical(), pool.transaction() as execute:
            await execute(INSERT.format("whole"))
            await disconnect.wait()
            await execute("select pg_sleep(0.05)")
            await execute(INSERT.format("whole"))
        story.append("committed")
        await anyio.sleep_forever()

    async with exchange(app) as server:
        server.leave()
    assert story == ["committed"]
    assert activity.entries("whole") == 2
    assert server.sent == []
    await can_all_be_taken(pool)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_storm_of_abandoned_requests_leaves_the_pool_whole(
    pool: Pool, activity: Activity, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(4)
    committed = set()
    at_once = anyio.CapacityLimiter(4 * SIZE)

    async def request(number: int) -> None:
        mark = f"storm {number}"

        async def app() -> None:
            async with pool.transaction() as execute:
                await execute(INSERT.format(mark))
                await execute("select pg_sleep(0.004)")
                await execute(INSERT.format(mark))
            committed.add(mark)
            await anyio.sleep(0.004)

        async with at_once, exchange(app) as server:
            await anyio.sleep(chance.uniform(0, 0.05))  # the moment is what is tested
            server.leave()

    async with anyio.create_task_group() as tasks:
        for number in range(2000):
            tasks.start_soon(request, number)
    await can_all_be_taken(pool)
    if pool.keeps_cancelled:
        assert len(pool.made) <= 2 * SIZE
    else:
        gc.collect()  # SQLAlchemy forgets a connection in whose making it is cancelled
    await activity.wait_until_settled(connections=SIZE)
    assert activity.rows("select mark from entries group by mark having count(*) <> 2") == []
    stored = {mark for (mark,) in activity.rows("select distinct mark from entries")}
    assert committed <= stored
    assert len(committed) > 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

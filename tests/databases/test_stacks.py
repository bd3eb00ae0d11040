"""Pools behind FastAPI: dependencies with `yield`, `@app.middleware("http")`, and streams.

There the code that holds a connection runs in a child task of an anyio group, and gives it back
there when its client leaves (contract §4.4).
"""

import functools
import gc
import logging
import random
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, DisconnectReport

from ..frameworks.connection import MANNERS, Connection
from ..frameworks.journal import Journal
from ..frameworks.stacks.work import ReportsErrors, note_of_request
from .activity import Activity
from .drivers import SIZE, Execute, Pool
from .test_pools import INSERT, can_all_be_taken

pytest.importorskip("fastapi.sse")

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.fast_guard,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.parametrize(
        "pool", ["psycopg", "asyncpg", "session-psycopg", "session-asyncpg"], indirect=True
    ),
]

ABANDONED = 2000
BETWEEN = 200

PATHS = ("/handler", "/dependency", "/stream", "/sse", "/jsonl-dependency")


async def work(execute: Execute) -> None:
    """Never comes to the end of the transaction."""
    await execute(INSERT.format("abandoned"))
    await execute("select pg_sleep(0.002)")
    note_of_request.get()("between")
    await anyio.sleep_forever()


def build(pool: Pool, *, middleware: bool) -> FastAPI:
    """An app with a route for each of `PATHS`, behind `@app.middleware("http")` or not.

    No stream stands at a `yield` with a transaction of its own: left there, it and the transaction,
    a generator as well, may be collected together, and asyncio closes both at once (unguarded too).
    """
    app = FastAPI()

    async def transaction() -> AsyncIterator[Execute]:
        async with pool.transaction() as execute:
            yield execute

    @app.get("/handler")
    async def handler() -> None:
        async with pool.transaction() as execute:
            await work(execute)

    @app.get("/dependency")
    async def with_dependency(execute: Annotated[Any, Depends(transaction)]) -> None:
        await work(execute)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"piece"
            async with pool.transaction() as execute:
                await work(execute)

        return StreamingResponse(pieces())

    @app.get("/sse", response_class=EventSourceResponse)
    async def events() -> AsyncIterable[dict[str, int]]:
        yield {"number": 1}
        async with pool.transaction() as execute:
            await work(execute)

    @app.get("/jsonl-dependency")
    async def jsonl_with_dependency(
        execute: Annotated[Any, Depends(transaction)],
    ) -> AsyncIterable[dict[str, int]]:
        yield {"number": 1}
        await work(execute)

    if middleware:

        @app.middleware("http")
        async def passes(
            request: Request, call_next: Callable[[Request], Awaitable[Response]]
        ) -> Response:
            return await call_next(request)

    return app


class Service:
    """The apps, guarded, and what becomes of their requests."""

    def __init__(self, pool: Pool) -> None:
        self.reports: list[DisconnectReport] = []
        self.errors: list[str] = []
        self._chance = random.Random(10)
        self._at_once = anyio.CapacityLimiter(4 * SIZE)
        self._apps = [
            DisconnectMiddleware(
                ReportsErrors(build(pool, middleware=middleware)),
                on_disconnect=self.reports.append,
            )
            for middleware in (False, True)
        ]

    async def abandon(self, number: int, *, between: bool) -> None:
        """Make a request and leave it: at a random moment, or between two statements."""
        async with self._at_once, anyio.create_task_group() as tasks:
            journal = Journal()
            note_of_request.set(journal.note)
            connection = Connection(
                path=self._chance.choice(PATHS),
                manner=MANNERS[number % 2],
                spec_version=self._chance.choice(["2.3", "2.4"]),
            )
            tasks.start_soon(connection.serve, self._chance.choice(self._apps))
            if between:
                await journal.noted("between")
            else:
                await anyio.sleep(self._chance.uniform(0, 0.03))  # the moment is what is tested
            connection.leave()
            await connection.has_ended()
        self.errors += [note for note in journal.notes if note != "between"]

    async def abandon_many(self, count: int, *, between: bool = False) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(functools.partial(self.abandon, number, between=between))


async def test_requests_abandoned_in_any_stack_leave_the_pool_whole(
    pool: Pool, activity: Activity, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(pool)
    await can_all_be_taken(pool)
    before = len(pool.made)
    await service.abandon_many(ABANDONED)
    assert service.errors == []
    await can_all_be_taken(pool)
    if pool.keeps_cancelled:
        assert len(pool.made) == before
    gc.collect()  # SQLAlchemy forgets a connection in whose making it is cancelled
    await activity.wait_until_settled(connections=SIZE)
    before = len(pool.made)
    await service.abandon_many(BETWEEN, between=True)
    await can_all_be_taken(pool)
    assert len(pool.made) == before
    await activity.wait_until_settled(connections=SIZE)
    assert service.errors == []
    assert {report.outcome for report in service.reports} == {"told", "cancelled"}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

"""Django's ORM: the query of an abandoned request stops, and its connection is given back.

A query runs in a thread, which no cancellation reaches, in async views too; the project's
`interruptible` reaches it by a callback (contract §6).
"""

import logging
import random
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio import to_thread
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.db.models.expressions import RawSQL
from django.http import HttpResponse

from asgi_disconnect import current_disconnect

from ...core.scripted import HUNG, REQUEST, Server, http_scope
from ..activity import Activity
from . import project

pytestmark = [pytest.mark.anyio]
if project.VERSION < (6, 0):
    # Django 4.2 and 5.2 leave the file that holds the body to the garbage collector when the
    # cancellation does not come from their own listener; it warns.
    pytestmark.append(pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning"))

FOREVER = {
    "postgresql": RawSQL("(select 1 from pg_sleep(60) /* abandoned */)", ()),
    "default": RawSQL(
        "(with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n)",
        (),
    ),
}
DATABASES = pytest.mark.parametrize("database", FOREVER)


@asynccontextmanager
async def exchange(view: Callable[..., Any]) -> Any:
    """The server's side of one exchange with Django, which is over at the end."""
    server = Server(REQUEST)
    scope = http_scope(query_string=b"", root_path="")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, project.handler_for(view), scope)
        yield server


def sync_view(function: Callable[[], Any]) -> Any:
    def view(request: Any) -> HttpResponse:
        function()
        return HttpResponse("done")

    return view


def async_view(function: Callable[[], Any]) -> Any:
    async def view(request: Any) -> HttpResponse:
        await sync_to_async(function)()
        return HttpResponse("done")

    return view


def count(objects: Any, database: str) -> int:
    """How many entries there are."""
    try:
        return int(objects(database).count())
    finally:
        connections[database].close()


VIEWS = pytest.mark.parametrize("view_of", [sync_view, async_view])


@VIEWS
@DATABASES
async def test_an_abandoned_query_is_gone_at_once(
    objects: Any, activity: Activity, view_of: Any, database: str
) -> None:
    def work() -> None:
        objects(database).create(mark="one")
        project.started.clear()
        objects(database).annotate(forever=FOREVER[database]).first()

    async with exchange(view_of(work)) as server:
        await to_thread.run_sync(project.started.wait, HUNG)
        if database == "postgresql":
            await activity.wait_until_running("abandoned")
        server.leave()
        await activity.wait_until_gone("abandoned")
    assert project.running == set()
    assert server.sent == []
    await activity.wait_until_settled(connections=0)


async def test_an_abandoned_query_of_the_async_orm_is_gone_at_once(
    objects: Any, activity: Activity
) -> None:
    async def view(request: Any) -> HttpResponse:
        await objects("postgresql").acreate(mark="one")
        await objects("postgresql").annotate(forever=FOREVER["postgresql"]).afirst()
        return HttpResponse("done")

    async with exchange(view) as server:
        await activity.wait_until_running("abandoned")
        server.leave()
        await activity.wait_until_gone("abandoned")
    assert server.sent == []
    await activity.wait_until_settled(connections=0)


@VIEWS
@DATABASES
async def test_a_query_of_a_client_that_stays_is_answered(
    objects: Any, view_of: Any, database: str
) -> None:
    async with exchange(view_of(lambda: objects(database).create(mark="stayed"))) as server:
        pass
    assert server.types == ["start", "body"]
    assert await to_thread.run_sync(count, objects, database) == 1


@VIEWS
@DATABASES
async def test_a_transaction_is_rolled_back(
    objects: Any, activity: Activity, view_of: Any, database: str
) -> None:
    def work() -> None:
        with transaction.atomic(database):
            objects(database).create(mark="half")
            project.started.clear()
            objects(database).annotate(forever=FOREVER[database]).first()

    async with exchange(view_of(work)) as server:
        await to_thread.run_sync(project.started.wait, HUNG)
        server.leave()
    await activity.wait_until_settled(connections=0)
    assert await to_thread.run_sync(count, objects, database) == 0


@VIEWS
@DATABASES
async def test_a_critical_transaction_commits(
    objects: Any, activity: Activity, view_of: Any, database: str
) -> None:
    begun = threading.Event()
    left = threading.Event()

    def work() -> None:
        with project.critical_transaction(database):
            objects(database).create(mark="whole")
            current_disconnect().add_callback(left.set)
            begun.set()
            assert left.wait(HUNG)
            objects(database).create(mark="whole")

    async with exchange(view_of(work)) as server:
        await to_thread.run_sync(begun.wait, HUNG)
        server.leave()
    assert server.sent == []
    assert await to_thread.run_sync(count, objects, database) == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@VIEWS
@pytest.mark.parametrize(
    "database",
    [
        "postgresql",
        pytest.param(
            "pooled",
            marks=pytest.mark.skipif(not project.POOLED, reason="Django before 5.1 has no pools"),
        ),
    ],
)
async def test_a_storm_of_abandoned_requests_leaves_no_connection_and_nothing_half_done(
    objects: Any,
    activity: Activity,
    view_of: Any,
    database: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    chance = random.Random(4)
    at_once = anyio.CapacityLimiter(20)
    committed = []

    async def request(number: int) -> None:
        def work() -> None:
            with transaction.atomic(database):
                objects(database).create(mark=str(number))
                with connections[database].cursor() as cursor:
                    cursor.execute("select pg_sleep(0.002)")
                objects(database).create(mark=str(number))
            committed.append(str(number))

        async with at_once, exchange(view_of(work)) as server:
            await anyio.sleep(chance.uniform(0, 0.04))  # the moment is what is tested
            server.leave()

    async with anyio.create_task_group() as tasks:
        for number in range(2000):
            tasks.start_soon(request, number)
    await activity.wait_until_settled(connections=5 if database == "pooled" else 0)
    assert activity.rows("select mark from entries group by mark having count(*) <> 2") == []
    stored = {mark for (mark,) in activity.rows("select distinct mark from entries")}
    assert set(committed) <= stored
    assert len(committed) > 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

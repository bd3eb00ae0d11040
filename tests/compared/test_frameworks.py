"""What "Compared" says of what the frameworks do by themselves.

Each framework's app is abandoned while its code works.  Versions: Starlette 1.10, FastAPI 0.165,
sse-starlette 3.7, Litestar 2.25, Quart 0.23.  Django is in `tests/frameworks/on_django`, which
serves each view bare and wrapped; what gunicorn does, in `tests/servers/test_server_facts.py`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect import DisconnectMiddleware

from ..backends import only_asyncio
from ..frameworks.connection import Connection, serving
from ..frameworks.generators import left_to_be_collected
from ..frameworks.journal import Journal
from ..frameworks.stacks import STACKS, Stack
from ..frameworks.stacks.work import note_of_request

pytestmark = [pytest.mark.anyio, only_asyncio, left_to_be_collected]

KNOWN = {stack.name: stack for stack in STACKS}


@dataclass(frozen=True)
class Alone:
    """What a framework's own code does for a client that leaves."""

    stack: str
    spec_version: str
    stops: bool
    cleans_up: bool = False
    """An unshielded `finally` with awaits runs to its end."""


ALONE = [
    *(
        Alone(name, version, stops=False)
        for name in ("fastapi", "base1", "litestar")
        for version in ("2.3", "2.4")
    ),
    Alone("stream", "2.3", stops=True),
    Alone("stream", "2.4", stops=False),  # it waits for the server's `send` to raise
    Alone("fastapi-sse", "2.3", stops=True),
    Alone("fastapi-sse", "2.4", stops=False),
    Alone("litestar-stream", "2.4", stops=True),
    Alone("sse-starlette", "2.3", stops=True),
    Alone("sse-starlette", "2.4", stops=True),
    Alone("quart", "2.3", stops=True, cleans_up=True),
    Alone("quart-stream", "2.3", stops=True, cleans_up=True),
]


@pytest.mark.parametrize(
    "alone", [pytest.param(each, id=f"{each.stack}-{each.spec_version}") for each in ALONE]
)
async def test_what_it_does_alone(alone: Alone) -> None:
    """What it does with the middleware is in `tests/frameworks/test_cleanup_in_stacks`."""
    stack = KNOWN[alone.stack]
    if stack.missing:
        pytest.skip(f"needs {stack.needs}")
    app = stack.build()
    await leave_at_once(app, stack)  # sse-starlette starts a task for good
    journal = Journal()
    note_of_request.set(journal.note)
    connection = Connection(stack.method, stack.path, spec_version=alone.spec_version)
    async with serving(app, connection):
        await journal.noted("working")
        connection.leave()
        if alone.stops:
            await connection.is_over()
        else:
            for _ in range(20):
                await anyio.wait_all_tasks_blocked()
        notes = list(journal.notes)
    assert ("cleaning up" in notes) is alone.stops
    assert ("cleaned up" in notes) is alone.cleans_up


async def leave_at_once(app: Any, stack: Stack) -> None:
    journal = Journal()
    note_of_request.set(journal.note)
    connection = Connection(stack.method, stack.path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.serve, app)
        await journal.noted("working")
        connection.leave()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("guarded", [False, True])
async def test_sse_starlette_ends_a_stream_that_nobody_takes_from(guarded: bool) -> None:
    """Which the middleware does not: its client has not left."""
    sse = pytest.importorskip("sse_starlette")

    async def events() -> AsyncIterator[str]:
        while True:
            yield "news"
            await checkpoint()

    def app(**options: Any) -> Any:
        response = sse.EventSourceResponse(events(), **options)
        return DisconnectMiddleware(response, watch_after=0) if guarded else response

    await leave_once(app())  # it starts a task for good
    async with serving(app(send_timeout=0.01), Connection(back_pressure=True)) as connection:
        await connection.is_over()
    assert not connection.gone
    async with serving(app(), Connection(back_pressure=True)) as connection:
        await connection.has_sent(b"news")
        for _ in range(20):
            await anyio.wait_all_tasks_blocked()
        assert not connection.over


async def leave_once(app: Any) -> None:
    connection = Connection(back_pressure=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.serve, app)
        await connection.has_sent(b"news")
        connection.leave()
        tasks.cancel_scope.cancel()

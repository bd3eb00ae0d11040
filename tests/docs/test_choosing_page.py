"""What "Choosing which requests" shows for GraphQL finishes mutations, and stops queries."""

import json
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from .conftest import Run

pytestmark = pytest.mark.anyio

PAGE = "docs/guides/choosing.md"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Strawberry's own


@pytest.mark.parametrize(("kind", "finished"), [("query", False), ("mutation", True)])
async def test_mutations_finish_and_queries_are_stopped(
    run_page: Run, kind: str, finished: bool
) -> None:
    strawberry = pytest.importorskip("strawberry")
    asgi = pytest.importorskip("strawberry.asgi")
    names = run_page(PAGE)
    begun, gone, may_end, notes = anyio.Event(), anyio.Event(), anyio.Event(), []

    @strawberry.type
    class Work:
        @strawberry.field
        async def work(self) -> int:
            begun.set()
            await may_end.wait()
            notes.append("finished")
            return 1

    @strawberry.type
    class More(Work):
        pass

    schema = strawberry.Schema(Work, More, extensions=[names["MutationsFinish"]])
    app = DisconnectMiddleware(asgi.GraphQL(schema), watch_after=0)
    body = json.dumps({"query": kind + " { one: work two: work }"}).encode()
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        pass

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json")],
        "client": None,
        "server": None,
    }
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, receive, send)
            await begun.wait()
            gone.set()
            await anyio.wait_all_tasks_blocked()
            may_end.set()
    assert notes == (["finished"] * 2 if finished else [])

"""What every test of Django has: its back ends, and a way to be served.

Contract §5: when an exchange is over, no task of it is left, and nothing has been logged that an
operator would have to look at.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from typing import Any

import pytest
from scripted_client import Client

collect_ignore_glob = [] if find_spec("django") else ["*.py"]

Serve = Callable[..., Client]


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(
            ("asyncio", {"use_uvloop": True}),
            id="uvloop",
            marks=pytest.mark.skipif(not find_spec("uvloop"), reason="needs uvloop"),
        ),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Django is bound to asyncio."""
    return request.param


@pytest.fixture
async def serve(
    request: pytest.FixtureRequest, anyio_backend: Any, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Serve]:
    """Call it with Django's application: the client of an exchange with it, which has begun."""
    way = request.param
    clients: list[Client] = []

    def start(application: Any, path: str = "/") -> Client:
        clients.append(Client(way.wrap(application), path=path, limit=way.limit))
        return clients[-1]

    yield start
    for client in clients:
        if not client.task.done():  # the test has failed
            client.task.cancel()
            await asyncio.wait([client.task], timeout=1)
    assert _tasks() == []
    clients.clear()
    gc.collect()  # what is not closed is to warn now, not in a later test
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def _tasks() -> "list[asyncio.Task[Any]]":
    return [
        task
        for task in asyncio.all_tasks()
        if not getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")
    ]


async def end_the_tasks_of_django_5() -> None:
    """Its view and its listener run on when it ends with an error, bare as wrapped."""
    tasks = _tasks()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

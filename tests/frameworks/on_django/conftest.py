"""What every test of Django has: its back ends, and a way to be served.

Contract §5: when an exchange is over, no task of it is left, and nothing has been logged that an
operator would have to look at.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import pytest
from scripted_client import Client, Headers, Serve, tasks_left

DJANGO_5 = find_spec("django") is not None and version("django").startswith("5.")

collect_ignore_glob = [] if find_spec("django") else ["*.py"]


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

    def start(application: Any, path: str = "/", headers: Headers = ()) -> Client:
        app = way.wrap(application)
        clients.append(Client(app, path=path, headers=headers, limit=way.limit))
        return clients[-1]

    yield start
    for client in clients:
        if not client.task.done():  # the test has failed
            client.task.cancel()
            await asyncio.wait([client.task], timeout=1)
    if "quiet_loop" in request.fixturenames and DJANGO_5 and tasks_left():
        await asyncio.wait(tasks_left(), timeout=5)  # see there
    assert tasks_left() == []
    clients.clear()
    gc.collect()  # what is not closed is to warn now, not in a later test
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
async def quiet_loop(anyio_backend: Any) -> AsyncIterator[None]:
    """Nothing that goes wrong in a task or a callback goes unnoticed, but for what is Django 5's.

    It does not look at its listener any more once it is cancelled from outside.  A client that
    leaves within the two ticks in which Django starts to listen finds nobody listening, so Django
    is cancelled, and then its listener is told, and its view runs on.
    """
    from django.core.exceptions import RequestAborted

    problems: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: problems.append(context))
    yield
    gc.collect()
    loop.set_exception_handler(handler)
    if DJANGO_5:
        problems = [p for p in problems if not isinstance(p.get("exception"), RequestAborted)]
    assert problems == []

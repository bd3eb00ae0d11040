"""What "Compared" says of Django behind a middleware that cancels it instead of telling it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse
from django_app import LISTENS, VERSION, handler_for, hello
from scripted_client import Serve, end_the_tasks_of_django_5
from ways import ON_DJANGO, WRAPPED, Way, served

from asgi_disconnect import DisconnectMiddleware

pytestmark = [
    *ON_DJANGO,
    pytest.mark.skipif(not LISTENS, reason="Django 4.2 is cancelled, not told"),
]


def theirs(app: Any) -> Any:
    module = pytest.importorskip("fastapi_disconnect", reason="not installed: needs Python 3.12")
    return module.CancelOnDisconnectMiddleware(app)


@pytest.fixture
def finished() -> Iterator[list[str]]:
    """One "finished" for each time that Django was told to close its connections."""
    seen: list[str] = []

    def note(**_: Any) -> None:
        seen.append("finished")

    request_finished.connect(note)
    yield seen
    request_finished.disconnect(note)


@served(WRAPPED, Way("fastapi-disconnect", theirs))
async def test_request_finished_is_sent_by_a_django_that_is_told(
    serve: Serve, request: pytest.FixtureRequest, finished: list[str]
) -> None:
    told = request.node.callspec.params["serve"].wrap is DisconnectMiddleware
    started, stopped = asyncio.Event(), asyncio.Event()

    async def view(request: HttpRequest) -> HttpResponse:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return hello(request)

    client = serve(handler_for(view)).sends()
    await client.waits_for(started.wait())
    client.leaves()
    await client.ends()
    assert bool(finished) is told
    assert stopped.is_set() is (told or VERSION >= (6, 0))
    await end_the_tasks_of_django_5()

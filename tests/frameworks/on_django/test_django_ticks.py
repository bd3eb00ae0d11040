"""A client may leave at any moment; the server is never handed a cancellation of ours for it.

Contract §4.1 and §4.6.  Between Django's last read of the body and its own listener's first, a
departure finds nobody listening, so Django is cancelled, not told.  Django 6.1 may be inside an
`asyncio.TaskGroup` then, which cancels its task anew; neither that nor ours may leave.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from django.core.signals import request_started
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django_app import LISTENS, VERSION, handler_for, hello
from scripted_client import Serve
from ways import ON_DJANGO, WATCHED, Way, served

from asgi_disconnect import DisconnectMiddleware

pytestmark = ON_DJANGO


async def async_view(request: HttpRequest) -> HttpResponse:
    for _ in range(10):
        await asyncio.sleep(0)
    return hello(request)


async def failing_view(request: HttpRequest) -> HttpResponse:
    try:
        return await async_view(request)
    finally:
        await asyncio.sleep(0)


async def streaming_view(request: HttpRequest) -> StreamingHttpResponse:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(20):  # longer than a busy app is waited for before it is cancelled
            await asyncio.sleep(0)
            yield b"."

    return StreamingHttpResponse(stream())


WATCHED_SOON = Way("soon", lambda app: DisconnectMiddleware(app, watch_after=0.0005))

VIEWS = {"sync": hello, "async": async_view, "cleanup": failing_view, "streaming": streaming_view}


@pytest.fixture
def pauses_before_listening() -> Iterator[None]:
    """More moments between Django's last read of the body and its listener's first."""

    async def pause(**_: Any) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    if VERSION < (5, 0):  # it has no async receivers, and runs sync ones in a thread
        yield
        return
    request_started.connect(pause)
    yield
    request_started.disconnect(pause)


@served(WATCHED, WATCHED_SOON)
@pytest.mark.parametrize("view", [pytest.param(view, id=name) for name, view in VIEWS.items()])
@pytest.mark.usefixtures("pauses_before_listening", "quiet_loop")
async def test_a_departure_at_any_tick_is_no_error(
    request: pytest.FixtureRequest, serve: Serve, view: Callable[..., Any]
) -> None:
    dice = random.Random(2)
    application = handler_for(view)
    answered = 0
    for ticks in [*range(60), *(dice.randrange(60, 600) for _ in range(60))]:
        client = serve(application).sends(b"half, ", more=True).sends(b"whole")
        for _ in range(ticks):
            await asyncio.sleep(0)
        client.leaves()
        assert await client.ends() is None
        assert client.task.cancelling() == 0
        answered += client.answered
    assert answered > 0
    # What does not listen may be done before it is watched, if the machine is quick.
    if LISTENS or request.node.callspec.params["serve"] is WATCHED:
        assert answered < 120


@pytest.mark.skipif(VERSION < (5, 0), reason="Django 4.2 has no async receivers")
@served(WATCHED)
async def test_a_departure_before_django_listens_cancels_it_and_is_no_error(serve: Serve) -> None:
    between, cancelled = asyncio.Event(), asyncio.Event()

    async def receiver(**_: Any) -> None:
        between.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def another(**_: Any) -> None:
        await asyncio.Event().wait()

    request_started.connect(receiver)
    request_started.connect(another)
    try:
        client = serve(handler_for()).sends()
        await client.waits_for(between.wait())
        client.leaves()
        assert await client.ends() is None
    finally:
        request_started.disconnect(receiver)
        request_started.disconnect(another)
    assert cancelled.is_set()
    assert client.sent == []

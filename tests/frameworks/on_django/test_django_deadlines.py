"""A deadline passes in Django: one answer of ours, Django's own cleanup, and nothing logged.

Contract §10: Django 5.2 and 6.x listen, so they are told, as of a departure; 4.2 is cancelled.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django_app import LISTENS, handler_for, hello
from scripted_client import Client, Serve
from ways import ON_DJANGO, Way, served

from asgi_disconnect import DisconnectMiddleware, current_disconnect

pytestmark = ON_DJANGO

ATTEMPTS = 5
"""In one of so many, the view has begun before the deadline passes."""


def bounded(deadline: float) -> pytest.MarkDecorator:
    """Run the test with this deadline, watched or not."""
    return served(
        Way("bounded", lambda app: DisconnectMiddleware(app, deadline=deadline)),
        Way("watched", lambda app: DisconnectMiddleware(app, deadline=deadline, watch_after=0)),
        Way("unwatched", lambda app: DisconnectMiddleware(app, deadline=deadline, watch_after=60)),
    )


soon = bounded(0.1)
late = bounded(30)


@pytest.fixture
def finished() -> Iterator[list[str]]:
    """The signal `request_finished`, each time that it is sent."""
    seen: list[str] = []

    def receiver(**_: object) -> None:
        seen.append("finished")

    request_finished.connect(receiver)
    yield seen
    request_finished.disconnect(receiver)


def answered_504(client: Client) -> bool:
    types = [message["type"] for message in client.sent]
    one = types == ["http.response.start", "http.response.body"]
    return one and client.sent[0]["status"] == 504


@soon
async def test_an_async_view_is_cancelled_and_its_cleanup_finishes(
    serve: Serve, finished: list[str]
) -> None:
    events = []

    async def view(request: HttpRequest) -> HttpResponse:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            events.append(current_disconnect().cause)
        return hello(request)

    for _ in range(ATTEMPTS):
        finished.clear()
        client = serve(handler_for(view)).sends()
        await client.ends()
        if events:
            break
    assert events == ["deadline"]
    assert answered_504(client)
    assert finished == (["finished"] if LISTENS else [])


@soon
async def test_a_sync_view_does_not_hold_the_answer_up(serve: Serve, finished: list[str]) -> None:
    go_on, begun, causes = threading.Event(), threading.Event(), []

    def view(request: HttpRequest) -> HttpResponse:
        begun.set()
        assert go_on.wait(20)
        causes.append(current_disconnect().cause)
        return hello(request)

    for _ in range(ATTEMPTS):
        go_on.clear()
        finished.clear()
        client = serve(handler_for(view)).sends()
        await client.gets()
        await client.gets()
        assert answered_504(client)
        go_on.set()
        await client.ends()
        if begun.is_set():
            break
    assert causes == ["deadline"]
    assert answered_504(client)
    assert finished == (["finished"] if LISTENS else [])


@soon
async def test_a_stream_is_cut_off(serve: Serve, finished: list[str]) -> None:
    events = []

    async def stream() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            events.append("closed")

    async def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(stream())

    for _ in range(ATTEMPTS):
        finished.clear()
        client = serve(handler_for(view)).sends()
        await client.ends()
        if client.answer == b"first":
            break
        events.clear()
    assert events == ["closed"]
    assert client.answer == b"first"
    assert not client.answered
    assert finished == (["finished"] if LISTENS else [])


@late
async def test_a_view_in_time_is_left_alone(serve: Serve, finished: list[str]) -> None:
    client = serve(handler_for(hello)).sends()
    await client.ends()
    assert client.answer == b"hello"
    assert finished == ["finished"]

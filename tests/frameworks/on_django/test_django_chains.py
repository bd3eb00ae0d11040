"""Behind middlewares as a project has them, cleanup finishes and Django's own is done.

Contract §4.2, §4.4 and §4.6: whatever chain of `MIDDLEWARE` is between the server and the view.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from chains import ASYNC, CHAINS, STARTPROJECT, SYNC
from django.contrib import messages
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django_app import LISTENS, handler_for
from scripted_client import Client, Serve, tasks_left
from ways import EVERY_WAY, GUARDED, ON_DJANGO, WATCHED, served

pytestmark = ON_DJANGO

BEHIND = pytest.mark.parametrize("chain", [pytest.param(CHAINS[name], id=name) for name in CHAINS])
KINDS = pytest.mark.parametrize("kind", ["sync", "not_sync", "streaming"])

SECRET = b"0123456789abcdefghijklmnopqrstuv"
MAY_POST = ((b"cookie", b"csrftoken=" + SECRET), (b"x-csrftoken", SECRET))
"""What CsrfViewMiddleware wants to see."""


@pytest.fixture
def signals() -> Iterator[list[str]]:
    seen: list[str] = []

    def started(**_: Any) -> None:
        seen.append("started")

    def finished(**_: Any) -> None:
        seen.append("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    yield seen
    request_started.disconnect(started)
    request_finished.disconnect(finished)


class Views:
    """Views that use what the middlewares give them, wait, and clean up."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.started = asyncio.Event()
        self.open = asyncio.Event()
        self.open_to_threads = threading.Event()
        self.did: list[str] = []

    def go_on(self) -> None:
        self.open.set()
        self.open_to_threads.set()

    def sync(self, request: HttpRequest) -> HttpResponse:
        try:
            self.begin(request)
            assert self.open_to_threads.wait(20)
            return HttpResponse("answered")
        finally:
            self.did.append("cleaned up")

    async def not_sync(self, request: HttpRequest) -> HttpResponse:
        try:
            self.begin(request)
            await self.open.wait()
            return HttpResponse("answered")
        finally:
            await self.clean_up()

    async def streaming(self, request: HttpRequest) -> StreamingHttpResponse:
        async def stream() -> AsyncIterator[bytes]:
            try:
                yield b"answered"
                self.begin(request)
                await self.open.wait()
            finally:
                await self.clean_up()

        return StreamingHttpResponse(stream())

    def begin(self, request: Any) -> None:
        request.session["visits"] = 1
        messages.info(request, "welcome")
        assert request.user.is_anonymous
        self.did.append("began")
        self.loop.call_soon_threadsafe(self.started.set)

    async def clean_up(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0.001)
        self.did.append("cleaned up")


def passed(client: Client) -> "list[str]":
    """The test's own middlewares that the response came through, from the view outward."""
    return dict(client.sent[0]["headers"]).get(b"passed", b"").decode().split()


@EVERY_WAY
@BEHIND
@KINDS
async def test_a_client_that_stays_is_answered_through_the_whole_chain(
    serve: Serve, signals: list[str], kind: str, chain: list[str]
) -> None:
    views = Views()
    views.go_on()
    client = serve(handler_for(getattr(views, kind), chain), headers=MAY_POST).sends(b"a body")
    await client.ends()
    assert client.answered
    assert (client.sent[0]["status"], client.answer) == (200, b"answered")
    assert dict(client.sent[0]["headers"])[b"X-Frame-Options"] == b"DENY"
    ours = {SYNC: "sync", ASYNC: "async"}
    assert passed(client) == [ours[each] for each in reversed(chain) if each in ours]
    assert views.did == ["began", "cleaned up"]
    assert signals == ["started", "finished"]


@(EVERY_WAY if LISTENS else GUARDED)
@BEHIND
@KINDS
@pytest.mark.usefixtures("quiet_loop")
async def test_an_abandoned_view_cleans_up_and_so_does_django(
    serve: Serve, signals: list[str], kind: str, chain: list[str]
) -> None:
    views = Views()
    client = serve(handler_for(getattr(views, kind), chain), headers=MAY_POST).sends(b"a body")
    await client.waits_for(views.started.wait())
    client.leaves()
    await client.is_heard()
    views.open_to_threads.set()
    assert await client.ends() is None
    assert not client.answered
    assert views.did == ["began", "cleaned up"]
    # Django 4.2 cannot be told, and does not send it for an abandoned request.
    assert signals == (["started", "finished"] if LISTENS else ["started"])


# Not behind a middleware that is sync only: a view that such a thread is just about to have run is
# out of asgiref's sight (3.13, bare as well), and works on until it ends by itself.
@served(WATCHED)
@KINDS
@pytest.mark.usefixtures("quiet_loop")
async def test_a_view_that_is_left_at_any_moment_cleans_up(serve: Serve, kind: str) -> None:
    dice = random.Random(3)
    views = Views()
    views.open_to_threads.set()
    application = handler_for(getattr(views, kind), STARTPROJECT)
    for number in range(60):
        client = serve(application, headers=MAY_POST).sends(b"a body")
        if number < 30:
            for _ in range(2 * number):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(dice.uniform(0, 0.02))
        client.leaves()
        assert await client.ends() is None
        assert client.task.cancelling() == 0
    views.go_on()
    if tasks_left():  # Django 5 lets a view run on if it is cancelled as it begins to listen
        await asyncio.wait(tasks_left(), timeout=5)
    assert views.did.count("began") == views.did.count("cleaned up") > 0

"""What the middleware leaves as it is: errors, the server's cancellations, threads, static files.

Contract §4.5 and §5.
"""

import asyncio
import math
import threading
from pathlib import Path
from typing import Any

import django_app
import pytest
from asgiref.sync import sync_to_async
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.http import HttpRequest, HttpResponse
from django_app import LISTENS, handler_for, hello
from scripted_client import Serve, end_the_tasks_of_django_5
from ways import EVERY_WAY, ON_DJANGO, Way, served

from asgi_disconnect import DisconnectMiddleware

pytestmark = ON_DJANGO


@pytest.mark.skipif(not LISTENS, reason="Django 4.2 reads nothing after the body")
@EVERY_WAY
async def test_an_unknown_message_after_the_body_is_an_error_of_djangos(serve: Serve) -> None:
    started = asyncio.Event()

    async def view(request: HttpRequest) -> HttpResponse:
        started.set()
        await asyncio.Event().wait()
        return hello(request)

    client = serve(handler_for(view)).sends()
    await client.waits_for(started.wait())
    client.says("http.of_tomorrow")
    with pytest.raises(AssertionError, match=r"Invalid ASGI message.*http\.of_tomorrow"):
        await client.ends()
    assert client.sent == []
    await end_the_tasks_of_django_5()


@EVERY_WAY
async def test_an_error_in_a_view_is_djangos_answer(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0)
        raise ValueError("from the view")

    client = serve(handler_for(view)).sends()
    await client.ends()
    assert client.sent[0]["status"] == 500
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        ValueError
    ]
    caplog.clear()


@EVERY_WAY
async def test_the_servers_own_cancellation_leaves_django_as_it_came(serve: Serve) -> None:
    started = asyncio.Event()

    async def view(request: HttpRequest) -> HttpResponse:
        started.set()
        await asyncio.Event().wait()
        return hello(request)

    client = serve(handler_for(view)).sends()
    await client.waits_for(started.wait())
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.ends()
    assert client.sent == []
    await end_the_tasks_of_django_5()


@EVERY_WAY
async def test_the_sync_parts_of_a_request_share_a_thread_of_its_own(serve: Serve) -> None:
    threads: list[tuple[int, int]] = []

    async def view(request: HttpRequest) -> HttpResponse:
        first = await sync_to_async(threading.get_ident)()
        await asyncio.sleep(0)
        threads.append((first, await sync_to_async(threading.get_ident)()))
        if len(threads) == 2:
            together.set()
        await together.wait()
        return hello(request)

    together = asyncio.Event()
    application = handler_for(view)
    clients = [serve(application).sends() for _ in range(2)]
    for client in clients:
        await client.ends()
        assert client.answer == b"hello"
    (first, first_again), (second, second_again) = threads
    assert (first, second) == (first_again, second_again)
    assert len({first, second, threading.get_ident()}) == 3


# Told, and then?

SHORT_GRACE = Way("wrapped", lambda app: DisconnectMiddleware(app, grace=0.05))
NEVER_CANCELLED = Way("wrapped", lambda app: DisconnectMiddleware(app, grace=math.inf))


@served(SHORT_GRACE)
async def test_a_view_that_ignores_what_it_was_told_is_cancelled_after_the_grace(
    serve: Serve,
) -> None:
    started = asyncio.Event()
    cancellations = []

    async def view(request: HttpRequest) -> HttpResponse:
        started.set()
        for _ in range(2 if LISTENS else 1):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations.append(started)
        return hello(request)

    client = serve(handler_for(view)).sends()
    await client.waits_for(started.wait())
    client.leaves()
    await client.ends()
    assert client.sent == []
    assert cancellations


@served(NEVER_CANCELLED)
async def test_a_sync_view_may_take_as_long_as_it_likes(serve: Serve) -> None:
    loop = asyncio.get_running_loop()
    started, go_on, ended = asyncio.Event(), threading.Event(), []

    def view(request: HttpRequest) -> HttpResponse:
        loop.call_soon_threadsafe(started.set)
        assert go_on.wait(20)
        ended.append(request.body)
        return hello(request)

    client = serve(handler_for(view)).sends(b"all of it")
    await client.waits_for(started.wait())
    client.leaves()
    await client.is_heard()
    assert not client.task.done()
    go_on.set()
    await client.ends()
    assert ended == [b"all of it"]


# Static files

FILE = Path(django_app.__file__)
CONTENT = FILE.read_bytes()


def _around(app: Any) -> Any:
    return DisconnectMiddleware(ASGIStaticFilesHandler(app))


def _inside(app: Any) -> Any:
    return ASGIStaticFilesHandler(DisconnectMiddleware(app))


def _both(app: Any) -> Any:
    return DisconnectMiddleware(ASGIStaticFilesHandler(DisconnectMiddleware(app)))


STATIC_FILES = served(
    Way("bare", ASGIStaticFilesHandler),
    Way("around", _around),
    Way("inside", _inside),
    Way("both", _both),
)
GUARDED_STATIC_FILES = served(Way("around", _around), Way("inside", _inside), Way("both", _both))


@STATIC_FILES
async def test_static_files_are_served(serve: Serve) -> None:
    client = serve(handler_for(), f"/static/{FILE.name}").sends()
    await client.ends()
    assert client.sent[0]["status"] == 200
    assert client.answer == CONTENT
    assert client.answered


@STATIC_FILES
async def test_views_are_served_beside_static_files(serve: Serve) -> None:
    client = serve(handler_for()).sends()
    await client.ends()
    assert client.answer == b"hello"


@GUARDED_STATIC_FILES
async def test_a_view_beside_static_files_is_stopped_when_its_client_leaves(serve: Serve) -> None:
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
    assert stopped.is_set()
    assert client.sent == []


@STATIC_FILES
async def test_a_client_that_leaves_within_a_static_file_is_no_error(serve: Serve) -> None:
    client = serve(handler_for(), f"/static/{FILE.name}").sends()
    await client.gets()
    client.leaves()
    await client.ends()
    assert CONTENT.startswith(client.answer)

"""What Django does for a client that leaves, it does inside the middleware too.

Contract §4.2 and §4.3: Django 5.2 and 6.x listen, so they are told; Django 4.2 does not, so it is
cancelled, and behaves like them then but for the signal `request_finished` (`test_signals`).
"""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django_app import handler_for, hello
from scripted_client import Message, Serve
from ways import EVERY_WAY, NEEDS_A_LISTENER, NEEDS_A_LISTENER_AT_ONCE, ON_DJANGO

pytestmark = ON_DJANGO

# What every Django does


@EVERY_WAY
async def test_no_view_runs_for_a_client_that_leaves_before_its_request(serve: Serve) -> None:
    called = []
    client = serve(handler_for(called.append)).leaves()
    await client.ends()
    assert (called, client.sent) == ([], [])


@EVERY_WAY
async def test_no_view_runs_for_a_client_that_leaves_within_its_body(serve: Serve) -> None:
    called = []
    client = serve(handler_for(called.append)).sends(b"half of", more=True).leaves()
    await client.ends()
    assert (called, client.sent) == ([], [])


@EVERY_WAY
@pytest.mark.parametrize("moment", ["before", "within", "after"])
@pytest.mark.parametrize("kind", ["http.response.start", "http.response.body"])
async def test_a_departure_in_the_tick_of_the_answer_is_no_error(
    serve: Serve, moment: str, kind: str
) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        if moment == "before":
            client.leaves()
        return HttpResponse("an answer")

    def on_send(message: Message) -> None:
        if message["type"] == kind:
            if moment == "within":
                client.leaves()
            elif moment == "after":
                asyncio.get_running_loop().call_soon(client.leaves)

    client = serve(handler_for(view)).sends(b"all of it")
    client.on_send = on_send
    await client.ends()
    if kind == "http.response.body" and moment != "before":
        assert client.answered
    assert client.answer in (b"", b"an answer")


@EVERY_WAY
async def test_a_sync_view_reads_its_body_after_the_client_has_left(serve: Serve) -> None:
    started, go_on, read = threading.Event(), threading.Event(), []

    def view(request: HttpRequest) -> HttpResponse:
        started.set()
        assert go_on.wait(client.limit)
        read.append(request.body)
        return hello(request)

    client = serve(handler_for(view)).sends(b"half of it, ", more=True).sends(b"all of it")
    await client.waits_for(asyncio.to_thread(started.wait, client.limit))
    client.leaves()
    await client.is_heard()
    go_on.set()
    await client.ends()
    assert read == [b"half of it, all of it"]


@EVERY_WAY
async def test_concurrent_sync_views_run_in_a_thread_each(serve: Serve) -> None:
    together = threading.Barrier(3)
    threads = set()

    def view(request: HttpRequest) -> HttpResponse:
        threads.add(threading.get_ident())
        together.wait(20)
        return hello(request)

    application = handler_for(view)
    clients = [serve(application).sends() for _ in range(3)]
    for client in clients:
        await client.ends()
        assert client.answer == b"hello"
    assert len(threads) == 3
    assert threading.get_ident() not in threads


# What Django does from 5.0 on, and before only inside the middleware


@NEEDS_A_LISTENER_AT_ONCE
@pytest.mark.usefixtures("quiet_loop")
async def test_a_client_that_leaves_with_its_request_gets_no_answer(serve: Serve) -> None:
    client = serve(handler_for(hello)).sends(b"all of it").leaves()
    await client.ends()
    assert client.sent == []


@NEEDS_A_LISTENER
async def test_an_async_view_is_cancelled_when_the_client_leaves(serve: Serve) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def view(request: HttpRequest) -> HttpResponse:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return hello(request)

    client = serve(handler_for(view)).sends()
    await client.waits_for(started.wait())
    client.leaves()
    await client.ends()
    assert cancelled.is_set()
    assert client.sent == []


@NEEDS_A_LISTENER
async def test_the_cleanup_of_an_abandoned_async_view_may_await(serve: Serve) -> None:
    started, cleaned = asyncio.Event(), asyncio.Event()

    async def view(request: HttpRequest) -> HttpResponse:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            cleaned.set()
        return hello(request)

    client = serve(handler_for(view)).sends()
    await client.waits_for(started.wait())
    client.leaves()
    await client.ends()
    assert cleaned.is_set()


@NEEDS_A_LISTENER
async def test_a_streaming_response_is_cancelled_when_the_client_leaves(serve: Serve) -> None:
    events = []

    async def stream() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
            yield b"second"
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            events.append("closed")

    async def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(stream())

    client = serve(handler_for(view)).sends()
    assert (await client.gets())["type"] == "http.response.start"
    assert (await client.gets())["body"] == b"first"
    client.leaves()
    await client.ends()
    assert events == ["cancelled", "closed"]
    assert client.answer == b"first"
    assert not client.answered


@NEEDS_A_LISTENER
async def test_what_a_sync_view_returns_after_the_client_has_left_is_not_sent(
    serve: Serve,
) -> None:
    started, go_on = threading.Event(), threading.Event()

    def view(request: HttpRequest) -> HttpResponse:
        started.set()
        assert go_on.wait(client.limit)
        return hello(request)

    client = serve(handler_for(view)).sends()
    await client.waits_for(asyncio.to_thread(started.wait, client.limit))
    client.leaves()
    await client.is_heard()
    go_on.set()
    await client.ends()
    assert client.sent == []

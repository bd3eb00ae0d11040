"""Django's own cleanup runs: `request_finished`, which closes database connections.

Contract §4.2: Django 5.2 and 6.x send the signal when they are told that the client has left, and
not when they are cancelled from outside; so they are told, and are given time.  Django 4.2 cannot
be told and does not send it for an abandoned request: that is asserted as it is.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django_app import LISTENS, handler_for, hello
from scripted_client import Serve
from ways import BARE, EVERY_WAY, GUARDED, ON_DJANGO, served

pytestmark = ON_DJANGO

NEEDS_SIGNALS = EVERY_WAY if LISTENS else served(BARE)


@pytest.fixture
def signals() -> Iterator[list[tuple[str, Any, int]]]:
    """Every signal that was sent: its name, its sender, and the thread that its receiver ran in."""
    seen: list[tuple[str, Any, int]] = []

    def started(sender: Any, **_: Any) -> None:
        seen.append(("started", sender, threading.get_ident()))

    def finished(sender: Any, **_: Any) -> None:
        seen.append(("finished", sender, threading.get_ident()))

    request_started.connect(started)
    request_finished.connect(finished)
    yield seen
    request_started.disconnect(started)
    request_finished.disconnect(finished)


class Views:
    """Views that wait, so that the client can leave while they do."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.started = asyncio.Event()
        self.go_on = threading.Event()

    def sync(self, request: HttpRequest) -> HttpResponse:
        self.loop.call_soon_threadsafe(self.started.set)
        assert self.go_on.wait(20)
        return hello(request)

    async def not_sync(self, request: HttpRequest) -> HttpResponse:
        self.started.set()
        await asyncio.Event().wait()
        return hello(request)

    async def streaming(self, request: HttpRequest) -> StreamingHttpResponse:
        async def stream() -> AsyncIterator[bytes]:
            yield b"first"
            self.started.set()
            await asyncio.Event().wait()

        return StreamingHttpResponse(stream())


KINDS = pytest.mark.parametrize("kind", ["sync", "not_sync", "streaming"])
KINDS_THAT_END = KINDS if LISTENS else pytest.mark.parametrize("kind", ["sync"])


def check(signals: list[tuple[str, Any, int]], application: Any) -> None:
    """Each signal was sent once, by the application, and both in one thread beside the loop's."""
    assert [name for name, _, _ in signals] == ["started", "finished"]
    assert {sender for _, sender, _ in signals} == {type(application)}
    threads = {thread for _, _, thread in signals}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


@EVERY_WAY
@pytest.mark.parametrize("view", [hello, None], ids=["sync", "async"])
async def test_an_answered_request_finishes_once_in_the_thread_it_started_in(
    serve: Serve, signals: list[Any], view: Callable[..., Any] | None
) -> None:
    async def async_hello(request: HttpRequest) -> HttpResponse:
        return hello(request)

    application = handler_for(view or async_hello)
    client = serve(application).sends()
    await client.ends()
    assert client.answer == b"hello"
    check(signals, application)


@NEEDS_SIGNALS
@KINDS_THAT_END
async def test_an_abandoned_request_finishes_once_in_the_thread_it_started_in(
    serve: Serve, signals: list[Any], kind: str
) -> None:
    views = Views()
    application = handler_for(getattr(views, kind))
    client = serve(application).sends()
    await client.waits_for(views.started.wait())
    client.leaves()
    await client.is_heard()
    views.go_on.set()
    await client.ends()
    check(signals, application)


@EVERY_WAY
async def test_a_client_that_leaves_before_its_request_sends_no_signal(
    serve: Serve, signals: list[Any]
) -> None:
    client = serve(handler_for()).leaves()
    await client.ends()
    assert signals == []


@pytest.mark.skipif(LISTENS, reason="only Django 4.2 cannot be told")
@GUARDED
@KINDS
async def test_django_4_2_does_not_send_the_signal_for_an_abandoned_request(
    serve: Serve, signals: list[Any], kind: str
) -> None:
    views = Views()
    client = serve(handler_for(getattr(views, kind))).sends()
    await client.waits_for(views.started.wait())
    client.leaves()
    await client.is_heard()
    views.go_on.set()
    await client.ends()
    assert [name for name, _, _ in signals] == ["started"]


@NEEDS_SIGNALS
async def test_the_database_connection_of_an_abandoned_request_is_closed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "NAME", str(tmp_path / "database"))
    views = Views()
    used: list[Any] = []

    def view(request: HttpRequest) -> HttpResponse:
        connection.ensure_connection()
        used.append((connections["default"], connection.connection))
        return views.sync(request)

    client = serve(handler_for(view)).sends()
    await client.waits_for(views.started.wait())
    client.leaves()
    await client.is_heard()
    ((wrapper, raw),) = used
    assert raw is not None
    assert wrapper.connection is raw
    views.go_on.set()
    await client.ends()
    assert wrapper.connection is None

"""sse-starlette, whose responses always listen: they are told (contract §4.2)."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from .connection import Connection, exchange, serving
from .journal import Journal

pytest.importorskip("sse_starlette")

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence", "shutdown_watcher")]

Place = Callable[..., Any]


def bare(endpoint: Any, *inside: Middleware) -> Starlette:
    return Starlette(routes=[Route("/", endpoint)], middleware=list(inside))


def outermost(endpoint: Any, **options: Any) -> Any:
    return DisconnectMiddleware(bare(endpoint), **options)


def in_the_stack(endpoint: Any, **options: Any) -> Any:
    return bare(endpoint, Middleware(DisconnectMiddleware, **options))


@pytest.fixture(params=[outermost, in_the_stack])
def around(request: pytest.FixtureRequest) -> Place:
    place: Place = request.param
    return place


@pytest.fixture
async def shutdown_watcher(anyio_backend: Any) -> None:
    """sse-starlette's own task, one for each event loop and as long-lived: have it started."""
    await bare(numbers)(*_triple(Connection()))


def _triple(connection: Connection) -> Any:
    return connection.scope, connection.receive, connection.send


async def numbers(request: Request) -> EventSourceResponse:
    async def events() -> AsyncIterator[dict[str, str]]:
        for number in range(3):
            yield {"event": "number", "data": str(number)}

    return EventSourceResponse(events())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_events_are_sent_as_unwrapped(around: Place, manner: str, method: str) -> None:
    sent = []
    for app in bare(numbers), around(numbers, watch_after=0):
        connection = await exchange(app, Connection(method, manner=manner))
        assert connection.complete
        sent.append(connection.sent)
    assert sent[0] == sent[1]


async def test_an_abandoned_stream_is_told_and_stops(around: Place, manner: str) -> None:
    journal = Journal()

    async def closed(message: Any) -> None:
        journal.note(f"close handler: {message['type']}")
        await anyio.sleep(0.001)  # it has its grace for this
        journal.note("close handler ended")

    async def events() -> AsyncIterator[str]:
        try:
            yield "one"
            await anyio.sleep_forever()
        finally:
            journal.note("finally")

    async def endpoint(request: Request) -> EventSourceResponse:
        return EventSourceResponse(events(), client_close_handler_callable=closed)

    connection = Connection(manner=manner)
    async with serving(around(endpoint), connection):
        await connection.has_sent(b"data: one")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["close handler: http.disconnect", "close handler ended", "finally"]
    assert connection.most_receiving == 1


async def test_a_generator_that_asks_is_told(around: Place, manner: str) -> None:
    """Its own poll and the response's listener call `receive` at once; one call gets through."""
    journal = Journal()

    async def endpoint(request: Request) -> EventSourceResponse:
        async def events() -> AsyncIterator[str]:
            yield "one"
            while not await request.is_disconnected():  # noqa: ASYNC110 - there is no event for it
                await anyio.sleep(0.001)
            journal.note("noticed")

        return EventSourceResponse(events(), client_close_handler_callable=linger)

    async def linger(message: Any) -> None:
        await journal.noted("noticed")

    connection = Connection(manner=manner)
    async with serving(around(endpoint), connection):
        await connection.has_sent(b"data: one")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["noticed"]
    assert connection.most_receiving == 1


async def test_who_pushes_the_data_is_stopped(around: Place, manner: str) -> None:
    journal = Journal()

    async def endpoint(request: Request) -> EventSourceResponse:
        sender, receiver = anyio.create_memory_object_stream[str]()

        async def push() -> None:
            try:
                async with sender:
                    await sender.send("one")
                    await anyio.sleep_forever()
            finally:
                journal.note("pushing stopped")
                receiver.close()

        return EventSourceResponse(receiver, data_sender_callable=push)

    connection = Connection(manner=manner)
    async with serving(around(endpoint), connection):
        await connection.has_sent(b"data: one")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["pushing stopped"]


async def test_background_work_after_the_last_event_finishes(around: Place, manner: str) -> None:
    journal = Journal()

    async def work() -> None:
        journal.note("started")
        await journal.leave_to("finish")
        journal.note("finished")

    async def endpoint(request: Request) -> EventSourceResponse:
        async def events() -> AsyncIterator[str]:
            yield "one"

        return EventSourceResponse(events(), background=BackgroundTask(work))

    connection = Connection(manner=manner)
    async with serving(around(endpoint, watch_after=0), connection):
        await connection.has_completed()
        connection.leave()
        await journal.noted("started")
        await anyio.wait_all_tasks_blocked()
        journal.allow("finish")
        await connection.has_ended()
    assert journal.notes == ["started", "finished"]


async def test_a_stream_that_does_not_end_when_told_is_cancelled_after_its_grace(
    around: Place, manner: str
) -> None:
    journal = Journal()

    async def hangs(message: Any) -> None:
        journal.note("close handler")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("cancelled")

    async def events() -> AsyncIterator[str]:
        yield "one"
        await anyio.sleep_forever()

    async def endpoint(request: Request) -> EventSourceResponse:
        return EventSourceResponse(events(), client_close_handler_callable=hangs)

    connection = Connection(manner=manner)
    async with serving(around(endpoint, grace=0.01), connection):
        await connection.has_sent(b"data: one")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["close handler", "cancelled"]

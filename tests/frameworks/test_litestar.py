"""Litestar: its dependencies, hooks and threads."""

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from .connection import Connection, exchange, serving
from .journal import Journal

pytest.importorskip("litestar")

from litestar import Litestar, Request, Response, get, post
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from litestar.di import Provide
from litestar.response import Stream

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence")]

Place = Callable[..., Any]


def outermost(*handlers: Any, options: Any = None, **fields: Any) -> Any:
    return DisconnectMiddleware(bare(*handlers, **fields), **(options or {}))


def in_the_stack(*handlers: Any, options: Any = None, **fields: Any) -> Any:
    def wrap(app: Any) -> Any:
        return DisconnectMiddleware(app, **(options or {}))

    return bare(*handlers, middleware=[wrap], **fields)


def bare(*handlers: Any, **fields: Any) -> Litestar:
    # Its logging would put its own handlers in the place of pytest's.
    return Litestar([*handlers], openapi_config=None, logging_config=None, **fields)


@pytest.fixture(params=[outermost, in_the_stack])
def around(request: pytest.FixtureRequest) -> Place:
    place: Place = request.param
    return place


@pytest.fixture
def on_asyncio(anyio_backend: Any) -> bool:
    return bool(anyio_backend[0] == "asyncio")


@pytest.mark.filterwarnings("ignore:.*Inferred dependency")  # what replaces it is new in 2.23
async def test_dependencies_of_an_abandoned_handler_clean_up(
    around: Place, manner: str, on_asyncio: bool
) -> None:
    journal = Journal()

    async def connected() -> AsyncGenerator[str, None]:
        journal.note("in")
        try:
            yield "connection"
        finally:
            journal.note("out")
            await anyio.sleep(0.001)
            journal.note("released")

    @get("/", dependencies={"connection": Provide(connected)})
    async def handler(connection: str) -> str:
        journal.note("started")
        await anyio.sleep_forever()
        return connection

    connection = Connection(manner=manner)
    async with serving(around(handler), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert "out" in journal.notes
    if on_asyncio:  # on trio cleanup that awaits has to shield itself
        assert "released" in journal.notes


async def test_background_tasks_async_and_sync_finish(around: Place, manner: str) -> None:
    journal = Journal()

    async def mail() -> None:
        journal.note("mail started")
        await journal.leave_to("mail")
        journal.note("mail sent")

    def report() -> None:
        journal.note("report started")
        journal.block()
        journal.note("report written")

    @get("/")
    async def handler() -> Response[str]:
        tasks = BackgroundTasks([BackgroundTask(mail), BackgroundTask(report)])
        return Response("done", background=tasks)

    connection = Connection(manner=manner)
    async with serving(around(handler, options={"watch_after": 0}), connection):
        await journal.noted("mail started")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        journal.allow("mail")
        await journal.noted("report started")
        journal.release()
        await connection.has_ended()
    assert journal.notes == ["mail started", "mail sent", "report started", "report written"]


async def test_the_hook_after_the_response_runs_to_its_end(around: Place, manner: str) -> None:
    journal = Journal()

    async def after(request: Request[Any, Any, Any]) -> None:
        journal.note("after started")
        await journal.leave_to("finish")
        journal.note("after finished")

    @get("/", after_response=after)
    async def handler() -> str:
        return "done"

    connection = Connection(manner=manner)
    async with serving(around(handler, options={"watch_after": 0}), connection):
        await journal.noted("after started")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        journal.allow("finish")
        await connection.has_ended()
    assert journal.notes == ["after started", "after finished"]


async def test_a_sync_handler_runs_to_its_end(around: Place, manner: str, on_asyncio: bool) -> None:
    """On asyncio Litestar's threads are not anyio's: a cancellation does not wait for them."""
    journal = Journal()

    @get("/", sync_to_thread=True)
    def handler() -> str:
        journal.note("started")
        journal.block()
        journal.note("finished")
        return "for nobody"

    connection = Connection(manner=manner)
    async with serving(around(handler), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        if on_asyncio:
            await connection.has_ended()
        else:
            await anyio.wait_all_tasks_blocked()
        assert connection.over == on_asyncio
        journal.release()
        await connection.has_ended()
        await journal.noted("finished")


async def test_a_stream_from_a_sync_generator_stops(around: Place, manner: str) -> None:
    journal = Journal()

    def numbers() -> Generator[str, None, None]:
        yield "one"
        journal.note("started")
        journal.block()
        yield "two"
        journal.note("went on")

    @get("/")
    async def handler() -> Stream:
        return Stream(numbers())

    connection = Connection(manner=manner)
    async with serving(around(handler), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        journal.release()
        await connection.has_ended()
    assert journal.notes == ["started"]
    assert connection.body == b"one"


@pytest.mark.parametrize("body", [b'{"name": "spam"}', b"{", b'"spam"'])
async def test_bodies_are_parsed_as_unwrapped(around: Place, manner: str, body: bytes) -> None:
    @post("/")
    async def handler(request: Request[Any, Any, Any]) -> Any:
        return await request.json()

    sent = []
    for place in bare, around:
        app = place(handler)
        headers = [(b"content-type", b"application/json")]
        connection = Connection("POST", body=[body[:1], body[1:]], headers=headers, manner=manner)
        await exchange(app, connection)
        assert connection.complete
        sent.append(connection.sent)
    assert sent[0] == sent[1]


async def test_a_body_that_is_cut_off_ends_silently(around: Place, manner: str) -> None:
    journal = Journal()

    @post("/")
    async def handler(request: Request[Any, Any, Any]) -> bytes:
        journal.note("started")
        body = await request.body()
        journal.note("read")
        return body

    connection = Connection("POST", body=b"half", complete=False, manner=manner)
    async with serving(around(handler), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert "read" not in journal.notes

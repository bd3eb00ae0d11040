"""Quart, which listens itself: it is told, and ends its handlers in its own way (contract §4.2)."""

import math
from typing import Any

import anyio
import pytest

from .apps import Framework
from .connection import Connection, exchange, serving
from .journal import Journal

pytest.importorskip("quart")

import quart

from asgi_disconnect import DisconnectMiddleware

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence")]


@pytest.fixture
def anyio_backend() -> str:
    """Quart is bound to asyncio; what holds for quart-trio as well is in test_every_framework."""
    return "asyncio"


@pytest.fixture(params=["outermost", "asgi_app"])
def around(request: pytest.FixtureRequest) -> Any:
    def put(app: quart.Quart, **options: Any) -> Any:
        if request.param == "outermost":
            return DisconnectMiddleware(app, **options)
        app.asgi_app = DisconnectMiddleware(app.asgi_app, **options)  # type: ignore[method-assign]
        return app

    return put


@pytest.mark.parametrize("options", [{}, {"grace": math.inf}, {"cancel": False}])
async def test_it_stops_its_handler_itself_whatever_we_may_do(
    around: Any, manner: str, options: dict[str, Any]
) -> None:
    journal = Journal()
    app = quart.Quart(__name__)

    @app.get("/")
    async def slow() -> str:
        journal.note("started")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("cancelled")
            await anyio.sleep(0.001)
            journal.note("cleaned up")
        return ""

    @app.teardown_request
    async def torn_down(error: Any) -> None:
        journal.note("request torn down")

    @app.teardown_appcontext
    async def context_gone(error: Any) -> None:
        journal.note("context gone")

    connection = Connection(manner=manner)
    async with serving(around(app, **options), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == [
        "started",
        "cancelled",
        "cleaned up",
        "request torn down",
        "context gone",
    ]


async def test_the_body_can_be_read_in_pieces(around: Any, manner: str) -> None:
    app = quart.Quart(__name__)

    @app.post("/")
    async def lengths() -> str:
        return " ".join([str(len(piece)) async for piece in quart.request.body])

    connection = Connection("POST", body=[b"a", b"bb", b"ccc"], manner=manner)
    await exchange(around(app, watch_after=0), connection)
    # Quart joins what it is given before its handler runs, so how many pieces is a matter of ticks.
    assert sum(map(int, connection.body.split())) == 6


async def test_a_body_that_is_cut_off_ends_silently(around: Any, manner: str) -> None:
    journal = Journal()
    app = quart.Quart(__name__)

    @app.post("/")
    async def whole() -> bytes:
        journal.note("started")
        body = await quart.request.get_data()
        journal.note("read")
        assert isinstance(body, bytes)
        return body

    connection = Connection("POST", body=b"half", complete=False, manner=manner)
    async with serving(around(app), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert "read" not in journal.notes
    assert not connection.complete


async def test_context_locals_are_as_unwrapped(around: Any) -> None:
    app = quart.Quart(__name__)

    @app.before_request
    async def color() -> None:
        quart.g.color = "red"

    @app.get("/")
    async def shown() -> str:
        return f"{quart.g.color} {quart.request.path}"

    bare = await exchange(app, Connection())
    wrapped = await exchange(around(app, watch_after=0), Connection())
    assert bare.sent == wrapped.sent


async def test_a_sync_view_is_left_alone_in_its_thread_as_it_is_unwrapped(
    around: Any, manner: str
) -> None:
    """Quart does not wait for the thread of a view whose client has left; so neither do we."""
    for wrapped in False, True:
        journal = Journal()
        app = quart.Quart(__name__)
        app.get("/")(sync_view(journal))
        connection = Connection(manner=manner)
        async with serving(around(app) if wrapped else app, connection):
            await journal.noted("started")
            await connection.is_listened_to()
            connection.leave()
            await connection.has_ended()
            assert journal.notes == ["started"]
            journal.release()
            await journal.noted("finished")


def sync_view(journal: Journal) -> Any:
    def view() -> str:
        journal.note("started")
        journal.block()
        journal.note("finished")
        return "for nobody"

    return view


async def test_its_background_task_outlives_the_exchange(around: Any, manner: str) -> None:
    journal = Journal()
    journal.allow("respond")
    app = Framework("quart", "on_quart").bare(journal)
    connection = Connection("GET", "/background", manner=manner)
    async with serving(around(app, watch_after=0), connection):
        await journal.noted("background started")
        await connection.has_ended()
        journal.allow("finish")
        await journal.noted("background finished")
        await anyio.wait_all_tasks_blocked()

"""What the frameworks build on WebSockets: dependencies, streams, listeners, subscriptions."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect import DisconnectMiddleware, DisconnectReport, current_disconnect

from ..conftest import cleanup_in_groups_finishes
from .connection import serving
from .journal import Journal
from .websocket_connection import CODE, WebSocketConnection

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence")]


class Guarded:
    """An app in the middleware, and what that reports."""

    def __init__(self, app: Any, **options: Any) -> None:
        self.reports: list[DisconnectReport] = []
        options = {"grace": 0, "on_disconnect": self.reports.append, **options}
        self._call = DisconnectMiddleware(app, websocket=True, **options)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._call(scope, receive, send)

    @property
    def outcome(self) -> str:
        (report,) = self.reports
        assert report.phase == "connected"
        return report.outcome


def on_asyncio(backend: Any) -> bool:
    return bool(backend[0] == "asyncio")


# FastAPI


async def test_fastapi_s_dependencies_clean_up(anyio_backend: Any, manner: str) -> None:
    pytest.importorskip("fastapi")
    from fastapi import Depends, FastAPI, WebSocket

    journal = Journal()

    async def session() -> AsyncIterator[str]:
        journal.note("session begun")
        try:
            yield "a session"
        finally:
            journal.note("session ending")
            await checkpoint()
            await checkpoint()
            journal.note("session ended")

    def connection_of_pool() -> Iterator[str]:
        journal.note("taken")
        try:
            yield "a connection"
        finally:
            journal.note("given back")

    app = FastAPI()

    @app.websocket("/prices")
    async def prices(
        websocket: WebSocket,
        first: Annotated[str, Depends(session)],
        second: Annotated[str, Depends(connection_of_pool)],
    ) -> None:
        await websocket.accept()
        journal.note("started")
        await anyio.sleep_forever()

    guarded = Guarded(app)
    connection = WebSocketConnection("/prices", manner=manner)
    async with serving(guarded, connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert guarded.outcome == "cancelled"
    begun = ["session begun", "taken", "started", "given back", "session ending"]
    assert journal.notes[:5] == begun
    if on_asyncio(anyio_backend):  # on trio, FastAPI shields it in its later versions
        assert journal.notes[5:] == ["session ended"]


async def test_a_websocket_s_handler_has_the_handle(manner: str) -> None:
    pytest.importorskip("fastapi")
    from fastapi import FastAPI, WebSocket

    journal = Journal()
    app = FastAPI()

    @app.websocket("/critical")
    async def critical(websocket: WebSocket) -> None:
        await websocket.accept()
        disconnect = current_disconnect()
        assert disconnect is websocket.scope["asgi_disconnect"]
        async with disconnect.critical():
            journal.note("started")
            await disconnect.wait()
            journal.note("knows")
            await journal.leave_to("book")
            journal.note("booked")
        await anyio.sleep_forever()

    guarded = Guarded(app)
    connection = WebSocketConnection("/critical", manner=manner)
    async with serving(guarded, connection):
        await journal.noted("started")
        connection.leave()
        await journal.noted("knows")
        await anyio.wait_all_tasks_blocked()
        journal.allow("book")
        await connection.has_ended()
    assert guarded.outcome == "cancelled"
    assert journal.notes == ["started", "knows", "booked"]


# Starlette


async def test_starlette_refuses_to_receive_after_the_disconnect_as_unwrapped(
    manner: str,
) -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket

    journal = Journal()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        journal.note("started")
        message = await websocket.receive()
        journal.note(f"told {message['code']}")
        with pytest.raises(RuntimeError, match="once a disconnect message has been received"):
            await websocket.receive()
        journal.note("refused")

    guarded = Guarded(Starlette(routes=[WebSocketRoute("/", endpoint)]))
    connection = WebSocketConnection("/", manner=manner)
    async with serving(guarded, connection):
        await journal.noted("started")
        connection.leave()
        await connection.has_ended()
    assert guarded.outcome == "told"
    assert journal.notes == ["started", f"told {CODE}", "refused"]


# Litestar


@pytest.mark.parametrize("listens", [False, True], ids=["deaf", "listening"])
async def test_litestar_s_stream_stops(anyio_backend: Any, manner: str, listens: bool) -> None:
    pytest.importorskip("litestar")
    from litestar import Litestar, websocket_stream

    journal = Journal()

    @websocket_stream("/ticks", listen_for_disconnect=listens, warn_on_data_discard=False)
    async def ticks() -> AsyncGenerator[str, None]:
        try:
            yield "tick"
            journal.note("started")
            await anyio.sleep_forever()
        finally:
            journal.note("finally")

    guarded = Guarded(Litestar([ticks], openapi_config=None, logging_config=None))
    connection = WebSocketConnection("/ticks", manner=manner)
    async with serving(guarded, connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert guarded.outcome == ("told" if listens else "cancelled")
    assert journal.notes == ["started", "finally"]


async def test_litestar_s_listener_is_told(manner: str) -> None:
    pytest.importorskip("litestar")
    from litestar import Litestar, WebSocket, websocket_listener

    journal = Journal()

    @asynccontextmanager
    async def lifespan(socket: WebSocket[Any, Any, Any]) -> AsyncIterator[None]:
        journal.note("accepted")
        try:
            yield
        finally:
            await checkpoint()
            journal.note("ended")

    @websocket_listener("/echo", connection_lifespan=lifespan)
    async def echo(data: str) -> str:
        return data

    guarded = Guarded(Litestar([echo], openapi_config=None, logging_config=None))
    connection = WebSocketConnection("/echo", manner=manner)
    async with serving(guarded, connection):
        connection.say("hello")
        await connection.has_been_pushed("hello")
        connection.leave()
        await connection.has_ended()
    assert guarded.outcome == "told"
    assert journal.notes == ["accepted", "ended"]


async def test_litestar_s_listener_at_work_is_cancelled_after_grace(
    anyio_backend: Any, manner: str
) -> None:
    pytest.importorskip("litestar")
    from litestar import Litestar, websocket_listener

    journal = Journal()

    @websocket_listener("/work")
    async def work(data: str) -> str:
        journal.note(f"got {data}")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
        return data

    guarded = Guarded(Litestar([work], openapi_config=None, logging_config=None), grace=0.05)
    connection = WebSocketConnection("/work", manner=manner)
    async with serving(guarded, connection):
        connection.say("hello")
        await journal.noted("got hello")
        connection.leave()
        await connection.has_ended()
    assert guarded.outcome == "cancelled"
    assert journal.notes == ["got hello", "finally"]


# Strawberry: graphql-transport-ws


class OnAsyncio:
    """What is bound to asyncio."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"


class TestStrawberry(OnAsyncio):
    async def test_a_subscription_ends_and_cleans_up(self, manner: str) -> None:
        strawberry = pytest.importorskip("strawberry")
        from strawberry.asgi import GraphQL

        journal = Journal()

        async def prices() -> AsyncGenerator[int, None]:
            journal.note("started")
            try:
                yield 42
                await anyio.sleep_forever()
            finally:
                journal.note("finally")
                await checkpoint()
                await checkpoint()
                journal.note("cleaned up")

        schema = strawberry.Schema(
            query=strawberry.type(type("Query", (), {"ok": strawberry.field(_ok)})),
            subscription=strawberry.type(
                type("Subscription", (), {"prices": strawberry.subscription(prices)})
            ),
        )
        guarded = Guarded(GraphQL(schema))
        connection = WebSocketConnection("/", manner=manner, subprotocols=["graphql-transport-ws"])
        async with serving(guarded, connection):
            connection.say(json.dumps({"type": "connection_init"}))
            await connection.soon(lambda: connection.texts, "connection_ack")
            query = {"query": "subscription { prices }"}
            connection.say(json.dumps({"id": "1", "type": "subscribe", "payload": query}))
            await connection.soon(lambda: "42" in "".join(connection.texts), "a price")
            await connection.is_listened_to()
            connection.leave()
            await connection.has_ended()
        assert guarded.outcome == "told"
        assert journal.notes == ["started", "finally", "cleaned up"]


def _ok() -> bool:
    return True


# Quart


class TestQuart(OnAsyncio):
    async def test_it_ends_its_handler_which_cleans_up(self, manner: str) -> None:
        quart = pytest.importorskip("quart")

        journal = Journal()
        app = quart.Quart(__name__)

        @app.websocket("/prices")
        async def prices() -> None:
            journal.note("started")
            await quart.websocket.send("tick")
            try:
                await anyio.sleep_forever()
            finally:
                for number in range(3):
                    await checkpoint()
                    journal.note(f"cleaned up {number + 1}")

        guarded = Guarded(app)
        connection = WebSocketConnection("/prices", manner=manner)
        async with serving(guarded, connection):
            await connection.has_been_pushed("tick")
            connection.leave()
            await connection.has_ended()
        assert guarded.outcome == "told"
        assert journal.notes == ["started", *(f"cleaned up {number}" for number in (1, 2, 3))]


# A group of the handler's own


@pytest.mark.fast_guard
async def test_cleanup_in_a_group_of_the_handler_s_is_finished(
    anyio_backend: Any, manner: str
) -> None:
    """A writer for each channel: none of them receives."""
    if not on_asyncio(anyio_backend):
        pytest.skip("on trio, cleanup that awaits shields itself")
    assert cleanup_in_groups_finishes()
    journal = Journal()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

        async def write(channel: str) -> None:
            await send({"type": "websocket.send", "text": channel})
            journal.note(channel)
            try:
                await anyio.sleep_forever()
            finally:
                await checkpoint()
                await checkpoint()
                journal.note(f"{channel} cleaned up")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write, "a")
            tasks.start_soon(write, "b")

    guarded = Guarded(app)
    connection = WebSocketConnection("/", manner=manner)
    async with serving(guarded, connection):
        await journal.noted("b")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert guarded.outcome == "cancelled"
    assert sorted(journal.notes) == ["a", "a cleaned up", "b", "b cleaned up"]

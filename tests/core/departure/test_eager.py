"""Where tasks begin at once (`asyncio.eager_task_factory`, Python 3.12) all is the same."""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectReport, current_disconnect

from ..scripted import DISCONNECT, LAST, REQUEST, START, Server, piece, ticks

pytestmark = [
    pytest.mark.anyio,
    # uvloop 0.23 cannot: its create_task passes an argument that the factory does not know.
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12"),
]


@contextlib.contextmanager
def eager_tasks() -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        yield
    finally:
        loop.set_task_factory(None)


@pytest.fixture(params=range(12))
def moment(request: pytest.FixtureRequest) -> Any:
    return request.param


async def leave(server: Server, moment: int) -> None:
    await ticks(moment)
    server.leave()


async def test_an_app_that_does_not_listen_is_cancelled_and_cleans_up(moment: int) -> None:
    server = Server(piece(b"a"), piece(b"b", more_body=False))
    events: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().add_callback(lambda: events.append("callback"))
        try:
            await receive()
            await ticks(3)
            await receive()
            await anyio.sleep_forever()
        finally:
            await ticks(5)
            events.append("cleaned up")

    reports: list[DisconnectReport] = []
    with eager_tasks():
        leaving = asyncio.create_task(leave(server, moment))
        assert await server.run(app, on_disconnect=reports.append) is None
        await leaving
    assert sorted(events) == ["callback", "cleaned up"]
    assert [report.outcome for report in reports] == ["cancelled"]


async def test_an_app_that_listens_is_told(moment: int) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        assert await receive() == REQUEST
        assert await receive() == DISCONNECT
        return "its own way"

    with eager_tasks():
        leaving = asyncio.create_task(leave(server, moment))
        assert await server.run(app, grace=1000) == "its own way"
        await leaving


async def test_a_complete_response_is_left_alone(moment: int) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await send(START)
        await send(LAST)
        await ticks(20)
        return "returned"

    with eager_tasks():
        leaving = asyncio.create_task(leave(server, moment))
        assert await server.run(app) == "returned"
        await leaving

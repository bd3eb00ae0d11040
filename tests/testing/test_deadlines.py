"""A test lets a deadline pass without waiting for it."""

import threading
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, current_disconnect
from asgi_disconnect.testing import BEHAVIOURS, exchange

from .apps import deaf, echo, listening, respond, start

LONG = 3600.0


@pytest.fixture(params=BEHAVIOURS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.anyio
async def test_a_handler_that_works_is_cancelled_and_answered(server: Any) -> None:
    async with exchange(DisconnectMiddleware(deaf, deadline=LONG), server=server) as client:
        await client.until_working()
        client.pass_deadline()
        result = await client.result()
    assert (result.outcome, result.status) == ("cancelled", 504)
    assert result.body
    assert result.report is not None
    assert result.report.cause == "deadline"


@pytest.mark.anyio
async def test_one_that_listens_is_told(server: Any) -> None:
    async with exchange(DisconnectMiddleware(listening, deadline=LONG), server=server) as client:
        await client.until_receiving()
        client.pass_deadline()
        result = await client.result()
    assert (result.outcome, result.status) == ("told", 504)


@pytest.mark.anyio
async def test_a_stream_is_cut_off(server: Any) -> None:
    async def streams(scope: Any, receive: Any, send: Any) -> None:
        await start(send)
        await respond(send, b"piece", more_body=True)
        await anyio.sleep_forever()

    async with exchange(DisconnectMiddleware(streams, deadline=LONG), server=server) as client:
        await client.until_sent(5)
        client.pass_deadline()
        result = await client.result()
    assert (result.outcome, result.status, result.body) == ("cancelled", 200, b"piece")


@pytest.mark.anyio
async def test_without_a_deadline_it_says_what_is_wrong() -> None:
    for app in (
        deaf,
        DisconnectMiddleware(deaf),
        DisconnectMiddleware(deaf, deadline=lambda _: None),
    ):
        async with exchange(app) as client:
            await client.until_working()
            with pytest.raises(RuntimeError, match="no deadline has been set"):
                client.pass_deadline()
            client.disconnect()
    async with exchange(DisconnectMiddleware(echo, deadline=LONG)) as client:
        with pytest.raises(RuntimeError, match="has not been called yet"):
            client.pass_deadline()
        await client.result()
        with pytest.raises(RuntimeError, match="the app has ended"):
            client.pass_deadline()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_test_that_is_not_async_does_so_too(backend: str) -> None:
    working = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert 0 < current_disconnect().remaining() <= LONG
        working.set()
        try:
            await anyio.sleep_forever()
        finally:
            assert current_disconnect().remaining() == 0

    with exchange(DisconnectMiddleware(app, deadline=LONG), backend=backend) as client:
        client.until(working)
        client.pass_deadline()
        result = client.result()
    assert (result.outcome, result.status) == ("cancelled", 504)
    assert result.report is not None
    assert result.report.exception is None

"""What a user writes: a test of a handler's cleanup takes ten lines at most.

Django's `TestCase` has its own, where Django is tested.
"""

from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.testing import exchange, websocket_exchange


class Seats:
    free = 1


async def book(scope: Any, receive: Any, send: Any) -> None:
    """A user's handler."""
    Seats.free -= 1
    try:
        await anyio.sleep_forever()
    finally:
        Seats.free += 1


app = DisconnectMiddleware(book)


@pytest.mark.anyio
async def test_a_seat_is_given_back_when_the_client_leaves() -> None:
    async with exchange(app, "/book", method="POST") as client:
        await client.until_working()
        assert Seats.free == 0
        client.disconnect()
        result = await client.result()
    assert result.outcome == "cancelled"
    assert Seats.free == 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_seat_is_given_back_in_a_test_that_is_not_async(backend: str) -> None:
    with exchange(app, "/book", method="POST", backend=backend) as client:
        client.until_working()
        assert Seats.free == 0
        client.disconnect()
        assert client.result().outcome == "cancelled"
    assert Seats.free == 1


@pytest.mark.anyio
async def test_without_the_middleware_the_same_test_shows_what_it_is_for() -> None:
    async with exchange(book, "/book", method="POST", patience=0.05) as client:
        await client.until_working()
        client.disconnect()
        result = await client.result()
    assert result.outcome == "overran"


class Subscribers:
    count = 0


async def push_prices(scope: Any, receive: Any, send: Any) -> None:
    """A user's handler of a WebSocket, which only pushes."""
    await receive()
    await send({"type": "websocket.accept"})
    Subscribers.count += 1
    try:
        while True:
            await send({"type": "websocket.send", "text": "17.50"})
            await anyio.sleep(0.001)
    finally:
        Subscribers.count -= 1


prices = DisconnectMiddleware(push_prices, websocket=True)


@pytest.mark.anyio
async def test_a_subscriber_is_forgotten_when_its_client_leaves() -> None:
    async with websocket_exchange(prices, "/prices", server="granian", grace=0) as client:
        assert await client.receive() == "17.50"
        assert Subscribers.count == 1
        client.close()
        result = await client.result()
    assert result.outcome == "cancelled"
    assert Subscribers.count == 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_subscriber_is_forgotten_in_a_test_that_is_not_async(backend: str) -> None:
    with websocket_exchange(prices, grace=0, server="hypercorn", backend=backend) as client:
        assert client.receive() == "17.50"
        assert Subscribers.count == 1
        client.reset()
        assert client.result().outcome == "cancelled"
    assert Subscribers.count == 0


@pytest.mark.anyio
async def test_a_subscriber_of_the_bare_handler_stays_for_ever() -> None:
    async with websocket_exchange(push_prices, server="hypercorn", patience=0.05) as client:
        await client.receive()
        client.close()
        result = await client.result()
    assert result.outcome == "overran"

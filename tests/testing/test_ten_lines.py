"""What a user writes: a test of a handler's cleanup takes ten lines at most.

Django's `TestCase` has its own, where Django is tested.
"""

from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.testing import exchange


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

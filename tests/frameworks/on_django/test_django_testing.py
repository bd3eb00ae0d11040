"""The test kit in Django's own `TestCase`: a test of a view's cleanup takes ten lines at most."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpResponse
from django.test import SimpleTestCase, TestCase
from django_app import handler_for
from ways import BODY_IS_LEFT

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.testing import exchange

pytestmark = BODY_IS_LEFT


class Seats:
    free = 1
    taken = threading.Event()


async def book(request: Any) -> HttpResponse:
    """A user's view."""
    Seats.free -= 1
    Seats.taken.set()
    try:
        await asyncio.sleep(3600)
    finally:
        Seats.free += 1
    return HttpResponse("booked")


@pytest.fixture(autouse=True)
def _no_seat_is_taken() -> Iterator[None]:
    Seats.taken.clear()
    yield
    gc.collect()  # what is not closed is to warn now, not in a later test


application = DisconnectMiddleware(handler_for(book))


class BookingTests(SimpleTestCase):
    def test_a_seat_is_given_back_when_the_client_leaves(self) -> None:
        with exchange(application, method="POST") as client:
            client.until(Seats.taken)
            assert Seats.free == 0
            client.disconnect()
            assert client.result().outcome in ("told", "cancelled")
        assert Seats.free == 1


class AsyncBookingTests(TestCase):
    async def test_a_seat_is_given_back_when_the_client_leaves(self) -> None:
        async with exchange(application, method="POST") as client:
            await client.until(Seats.taken)
            assert Seats.free == 0
            client.disconnect()
            assert (await client.result()).outcome in ("told", "cancelled")
        assert Seats.free == 1

    async def test_an_async_test_shares_its_transaction_with_the_view(self) -> None:
        def run(statement: str) -> Any:
            with connection.cursor() as cursor:
                return cursor.execute(statement).fetchall()

        async def look(request: Any) -> HttpResponse:
            return HttpResponse(repr(await sync_to_async(run)("SELECT taken FROM seats")))

        await sync_to_async(run)("CREATE TABLE seats AS SELECT 7 AS taken")
        async with exchange(DisconnectMiddleware(handler_for(look))) as client:
            result = await client.result()
        assert (result.status, result.body) == (200, b"[(7,)]")

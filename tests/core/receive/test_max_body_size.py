"""A body that is too large is refused: by what it declares, or by what comes (contract §2)."""

from typing import Any

import anyio
import pytest

from asgi_disconnect._exchange.headers import announces_body

from ..scripted import DISCONNECT, LAST, REQUEST, START, Server, http_scope, piece, ticks
from .refusals import END, FOUR, WATCHING, Working, answers, declared, status_of

pytestmark = pytest.mark.anyio

DIGITS_PYTHON_REFUSES = 5000


# By Content-Length


@pytest.mark.parametrize("buffer", ["ahead", "whole"])
@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_body_declared_too_large_never_reaches_the_app(
    watch_after: float, buffer: str
) -> None:
    server, app = Server(FOUR), Working()
    await server.run(app, declared(11), max_body_size=10, watch_after=watch_after, buffer=buffer)
    assert status_of(server) == 413
    assert app.events == []


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_length_of_more_digits_than_python_reads_is_too_large(watch_after: float) -> None:
    server, app = Server(FOUR), Working()
    scope = declared("1" * DIGITS_PYTHON_REFUSES)
    await server.run(app, scope, max_body_size=10, watch_after=watch_after)
    assert status_of(server) == 413
    assert app.events == []


async def test_a_length_of_more_digits_than_python_reads_is_no_error_of_its_own() -> None:
    """Without a limit it is the server's to judge; that there is a body is plain."""
    scope = declared("1" * DIGITS_PYTHON_REFUSES)
    assert announces_body(scope["headers"])
    for limit in (None, float("inf")):
        server, reports = Server(FOUR, REQUEST), list[Any]()
        await server.run(answers, scope, max_body_size=limit)
        assert server.sent == [START, LAST]
        server = Server(FOUR, DISCONNECT)
        await server.run(Working(), scope, max_body_size=limit, on_disconnect=reports.append)
        assert [report.phase for report in reports] == ["receiving"]


async def test_zeros_before_a_length_count_for_nothing() -> None:
    zeros = "0" * DIGITS_PYTHON_REFUSES
    for length, status in ((zeros, None), (f"{zeros}10", None), (f"{zeros}11", 413)):
        server = Server(piece(b"", more_body=False))
        await server.run(answers, declared(length), max_body_size=10)
        assert server.sent == [START, LAST] if status is None else status_of(server) == status
    assert not announces_body(declared(zeros)["headers"])


@pytest.mark.parametrize("length", [10, 0, "", "many", "-11", "+11", "1e9", "٣٣"])
async def test_a_body_declared_small_enough_or_not_in_a_number_is_received(length: object) -> None:
    server = Server(FOUR, REQUEST)
    await server.run(answers, declared(length), max_body_size=10)
    assert server.sent == [START, LAST]


async def test_a_number_in_another_header_declares_nothing() -> None:
    server = Server(FOUR, REQUEST)
    scope = declared(8)
    scope["headers"].insert(0, (b"x-length", b"99"))
    await server.run(answers, scope, max_body_size=10)
    assert server.sent == [START, LAST]


# By what comes


@pytest.mark.parametrize("scope", [http_scope(), declared(5)], ids=["chunked", "lying"])
@pytest.mark.parametrize("last", [False, True])
async def test_an_app_that_works_is_cancelled_when_too_much_has_come(
    scope: Any, last: bool
) -> None:
    server, app = Server(FOUR, FOUR, piece(b"334", more_body=not last)), Working()
    assert await server.run(app, scope, max_body_size=10) is None
    assert status_of(server) == 413
    assert app.events == ["called", "cancelled"]


async def test_it_is_refused_at_the_moment_when_it_is_too_much() -> None:
    """Not at the end of the body, which may never come."""
    server, app = Server(FOUR, FOUR), Working()
    async with anyio.create_task_group() as tasks:

        async def send_more() -> None:
            await ticks(20)
            assert server.sent == []
            server.give(piece(b"22"))
            await ticks(20)
            assert server.sent == []
            server.give(piece(b"1"))

        tasks.start_soon(send_more)
        await server.run(app, max_body_size=10)
    assert status_of(server) == 413
    assert app.events == ["called", "cancelled"]


@pytest.mark.parametrize("limit", [0, 8, 8.5])
@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_body_as_large_as_the_limit_is_received(limit: float, watch_after: float) -> None:
    given = [FOUR, FOUR, END] if limit else [piece(b""), END]
    server, got = Server(*given), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in given:
            got.append(await receive())
        await send(START)
        await send(LAST)

    await server.run(app, max_body_size=limit, watch_after=watch_after)
    assert got == given
    assert server.sent == [START, LAST]


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_an_app_that_reads_gets_what_was_allowed_and_then_the_disconnect(
    watch_after: float,
) -> None:
    """Told, it ends in its own way; what it sends is not sent."""
    server, got = Server(FOUR, FOUR, FOUR), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive()) != DISCONNECT:
            got.append(message)
        assert await receive() == DISCONNECT
        await anyio.sleep(0.01)
        await send(START)
        await send(LAST)
        got.append("ended")

    await server.run(app, max_body_size=10, watch_after=watch_after)
    assert got == [FOUR, FOUR, "ended"]
    assert status_of(server) == 413

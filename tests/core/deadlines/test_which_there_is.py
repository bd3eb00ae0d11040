"""Which deadline an exchange has, if any (contract §10)."""

import logging
import math
from fractions import Fraction
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, current_disconnect

from ..receive.refusals import Working, status_of
from ..scripted import LAST, REQUEST, START, Server, http_scope
from .exchanges import SOON, run

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("deadline", [None, math.inf, lambda scope: None, lambda scope: math.inf])
async def test_without_one_nothing_is_cancelled(deadline: Any) -> None:
    server, found = Server(REQUEST), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(current_disconnect().remaining())
        await anyio.sleep(2 * SOON)
        await send(START)
        await send(LAST)

    assert await run(server, app, deadline=deadline) is None
    assert server.sent == [START, LAST]
    assert found == [math.inf]


@pytest.mark.parametrize("seconds", [0, -1, -math.inf, Fraction(-1, 2)])
@pytest.mark.parametrize("buffer", ["ahead", "whole"])
async def test_one_that_has_passed_never_lets_the_app_be_called(
    seconds: float, buffer: str
) -> None:
    server, app = Server(REQUEST), Working()
    report = await run(server, app, deadline=lambda scope: seconds, buffer=buffer)
    assert status_of(server) == 504
    assert app.events == []
    assert report is not None
    assert (report.cause, report.outcome) == ("deadline", "cancelled")


async def test_a_constant_of_0_has_passed() -> None:
    server, app = Server(REQUEST), Working()
    await run(server, app, deadline=0)
    assert status_of(server) == 504
    assert app.events == []


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await anyio.sleep(0.01)
    assert current_disconnect().remaining() == math.inf
    await send(START)
    await send(LAST)


async def not_to_be_awaited(scope: Any) -> float:
    return SOON


@pytest.mark.parametrize("nonsense", ["5", True, False, math.nan, 1j, [5], object()])
async def test_nonsense_is_logged_and_means_none(
    nonsense: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(REQUEST)
    assert await run(server, answers, deadline=lambda scope: nonsense) is None
    assert server.sent == [START, LAST]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_disconnect", logging.ERROR)
    assert f"deadline= returned {nonsense!r} for GET /" in record.getMessage()


async def test_an_async_callable_is_nonsense(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(REQUEST)
    assert await run(server, answers, deadline=not_to_be_awaited) is None
    assert server.sent == [START, LAST]
    (record,) = caplog.records
    assert "deadline= returned <coroutine" in record.getMessage()


async def test_a_callable_that_raises_is_logged_and_means_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def deadline(scope: Any) -> float:
        raise KeyError("of its own")

    server = Server(REQUEST)
    assert await run(server, answers, deadline=deadline) is None
    assert server.sent == [START, LAST]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asgi_disconnect", logging.ERROR)
    assert "deadline= raised for GET /" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


async def test_a_callable_is_given_the_scope_once_for_each_request() -> None:
    scopes = []

    def deadline(scope: Any) -> None:
        scopes.append(scope["path"])

    await run(Server(REQUEST), answers, http_scope(path="/one"), deadline=deadline)
    await run(
        Server(REQUEST), pass_on, deadline=deadline, only=lambda scope: False
    )  # which is not guarded
    assert scopes == ["/one"]


async def pass_on(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(LAST)


async def test_a_websocket_has_none() -> None:
    called = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(2 * SOON)
        called.append(scope["type"])

    middleware = DisconnectMiddleware(app, deadline=SOON)
    await middleware({"type": "websocket"}, Server().receive, Server().send)
    assert called == ["websocket"]

"""What the kit says became of an app is what became of it, with the middleware and without."""

from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, current_disconnect
from asgi_disconnect.testing import BEHAVIOURS, Result, exchange

from . import apps
from .apps import deaf, echo, listening, one_piece, respond, start

pytestmark = pytest.mark.anyio

SHORT = 0.05


async def left(app: Any, **options: Any) -> Result:
    """The result of leaving while the app works."""
    async with exchange(app, **options) as client:
        await client.until_working()
        client.disconnect()
        return await client.result()


@pytest.fixture(params=BEHAVIOURS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_completed_with_status_and_body(server: Any) -> None:
    for app in (echo, DisconnectMiddleware(echo)):
        async with exchange(app, body=b"hello", server=server) as client:
            result = await client.result()
        assert (result.outcome, result.status, result.body) == ("completed", 200, b"hello")
        assert (result.seconds, result.exception, result.report) == (0.0, None, None)
        assert (client.status, client.headers, client.body) == (200, [(b"x-a", b"b")], b"hello")
        assert [each["type"] for each in client.messages] == [
            "http.response.start",
            "http.response.body",
        ]


async def test_completed_if_it_leaves_after_the_response(server: Any) -> None:
    async def background(scope: Any, receive: Any, send: Any) -> None:
        await start(send)
        await respond(send)
        await work.wait()
        ran.append("background")

    for app in (background, DisconnectMiddleware(background)):
        work = anyio.Event()
        ran: list[str] = []
        async with exchange(app, server=server) as client:
            await client.until_sent(4)
            client.disconnect()
            work.set()
            assert (await client.result()).outcome == "completed"
        assert ran == ["background"]


async def test_cancelled_with_the_middleware_and_overran_without(server: Any) -> None:
    assert (await left(DisconnectMiddleware(deaf), server=server)).outcome == "cancelled"
    bare = await left(deaf, server=server, patience=SHORT)
    assert bare.outcome == "overran"
    assert bare.seconds > SHORT / 2


async def test_told(server: Any) -> None:
    for app in (listening, DisconnectMiddleware(listening)):
        assert (await left(app, server=server)).outcome == "told"


async def test_finished_if_nobody_told_it_and_it_ended_by_itself(server: Any) -> None:
    async def works_on(scope: Any, receive: Any, send: Any) -> None:
        await until.wait()

    until = anyio.Event()
    async with exchange(works_on, server=server) as client:
        await client.until_working()
        client.disconnect()
        until.set()
        assert (await client.result()).outcome == "finished"


async def test_ignored_is_the_middlewares_word() -> None:
    async def endures(scope: Any, receive: Any, send: Any) -> None:
        disconnect = current_disconnect()
        disconnect.ignore()
        await disconnect.wait()

    assert (await left(DisconnectMiddleware(endures))).outcome == "ignored"


async def test_overran_is_the_middlewares_word_if_grace_was_not_enough() -> None:
    async def told_in_vain(scope: Any, receive: Any, send: Any) -> None:
        await listening(scope, receive, send)
        await anyio.sleep_forever()

    result = await left(DisconnectMiddleware(told_in_vain, grace=0.01))
    assert result.outcome == "overran"
    assert result.report is not None
    assert result.report.outcome == "overran"


async def test_the_report_comes_from_a_middleware_that_stands_anywhere() -> None:
    guarded = DisconnectMiddleware(one_piece)

    async def outside(scope: Any, receive: Any, send: Any) -> None:
        await guarded({**scope}, receive, send)

    async with exchange(outside, "/far/inside") as client:
        await client.until_sent(5)
        client.disconnect()
        result = await client.result()
    assert result.report is not None
    assert (result.report.phase, result.report.scope["path"]) == ("responding", "/far/inside")
    assert (result.status, result.body) == (200, b"piece")


async def test_exchanges_side_by_side_have_each_their_own_report() -> None:
    async def patient(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await start(send)
        await respond(send)

    app = DisconnectMiddleware(patient)
    go_on = anyio.Event()
    async with exchange(app) as staying, exchange(app) as leaving:
        await leaving.until_working()
        leaving.disconnect()
        assert (await leaving.result()).report is not None
        go_on.set()
        result = await staying.result()
    assert (result.outcome, result.report) == ("completed", None)


async def test_failed_has_the_exception() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such thing")

    async with exchange(broken) as client:
        result = await client.result()
    assert (result.outcome, repr(result.exception)) == ("failed", "LookupError('no such thing')")


async def test_failed_if_it_returns_without_a_response() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await start(send)

    async with exchange(silent) as client:
        result = await client.result()
    assert (result.outcome, result.status, result.exception) == ("failed", 200, None)


async def test_an_error_that_nobody_asked_about_is_raised() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        async with exchange(broken):
            await anyio.wait_all_tasks_blocked()


async def test_told_by_an_error_of_send(server: Any) -> None:
    async def sending(scope: Any, receive: Any, send: Any) -> None:
        await start(send)
        await go_on.wait()
        await respond(send)

    for app in (sending, DisconnectMiddleware(sending)):
        go_on = anyio.Event()
        async with exchange(app, server=server) as client:
            await client.until_responding()
            client.fail_send()
            go_on.set()
            result = await client.result()
        assert (result.outcome, result.status, result.body) == ("told", 200, b"")
        assert isinstance(result.exception, BrokenPipeError)


async def test_a_client_that_leaves_with_the_block_sees_the_app_to_its_end() -> None:
    cleaned_up = []

    async def cleans_up(scope: Any, receive: Any, send: Any) -> None:
        try:
            await apps.deaf(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            cleaned_up.append(True)

    async with exchange(DisconnectMiddleware(cleans_up)) as client:
        await client.until_working()
    assert cleaned_up == [True]


async def test_a_test_that_fails_fails_with_its_own_error_and_ends_the_app() -> None:
    ended = []

    async def working(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def test() -> None:
        async with exchange(working) as client:
            await client.until_working()
            raise AssertionError("the test's")

    with pytest.raises(AssertionError, match="the test's"):
        await test()
    assert ended == [True]


async def test_a_time_limit_around_the_exchange_ends_it() -> None:
    with anyio.move_on_after(SHORT) as limit:
        async with exchange(deaf) as client:
            await client.result()
    assert limit.cancelled_caught

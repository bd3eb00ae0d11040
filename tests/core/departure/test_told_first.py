"""What a premature disconnect does: told first, then cancelled (contract §4)."""

import logging
import math
from typing import Any

import anyio
import pytest

from ..scripted import DISCONNECT, LAST, MORE, REQUEST, START, Server, piece, ticks

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def nothing_is_logged_above_debug(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, "asgi_disconnect")
    yield
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.mark.parametrize("sent", [[], [START], [START, MORE]])
@pytest.mark.parametrize("given", [[], [piece(b"a")], [REQUEST]])
@pytest.mark.parametrize("reads", [True, False])
async def test_an_app_that_does_not_listen_is_cancelled(
    sent: list[Any], given: list[Any], reads: bool
) -> None:
    events = []
    server = Server(*given)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        if reads:
            for _ in given:
                await receive()
        for message in sent:
            await send(message)
        server.leave()
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            events.append(isinstance(error, anyio.get_cancelled_exc_class()))
            raise
        return "unreachable"

    assert await server.run(app, grace=1000) is None
    assert events == [True]
    assert server.sent == sent


async def test_an_app_that_listens_is_told_and_ends_in_its_own_way() -> None:
    server = Server(REQUEST)
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        assert await receive() == REQUEST
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    with anyio.CancelScope(shield=True):
                        await ticks(50)
                    cancelled.append("work")

            tasks.start_soon(work)
            await ticks(3)
            server.leave()
            assert await receive() == DISCONNECT
            tasks.cancel_scope.cancel()
        return "its own way"

    assert await server.run(app, grace=1000) == "its own way"
    assert cancelled == ["work"]


@pytest.mark.parametrize("watch_after", [0, math.inf])
async def test_an_app_that_was_told_is_cancelled_after_grace(watch_after: float) -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        try:
            events.append("goes on")
            await anyio.sleep_forever()
        finally:
            events.append("cancelled")

    assert await server.run(app, grace=0.02, watch_after=watch_after) is None
    assert events == ["goes on", "cancelled"]


async def test_with_infinite_grace_an_app_is_told_and_never_cancelled() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        await anyio.sleep(0.05)
        return "its own way"

    assert await server.run(app, grace=math.inf) == "its own way"


async def test_a_told_app_that_completes_its_response_is_not_cancelled_after_grace() -> None:
    server = Server(REQUEST)
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        assert await receive() == DISCONNECT
        await send(START)
        await send(LAST)
        await anyio.sleep(0.05)
        done.append("background")

    await server.run(app, grace=0.01)
    assert server.types == ["start", "body"]
    assert done == ["background"]


async def test_one_listener_among_many_tasks_is_enough_to_be_told() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        told = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def listen() -> None:
                assert await receive() == DISCONNECT
                told.set()

            tasks.start_soon(listen)
            await ticks(5)
            server.leave()
            await told.wait()
        return "its own way"

    assert await server.run(app, grace=1000) == "its own way"


async def test_with_cancel_false_the_app_is_told_and_otherwise_left_alone() -> None:
    server = Server(REQUEST)
    error = ValueError("the app's")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await ticks(20)
        assert await receive() == DISCONNECT
        raise error

    with pytest.raises(ValueError, match="the app's") as raised:
        await server.run(app, cancel=False, grace=0)
    assert raised.value is error


@pytest.mark.parametrize("listens", [True, False])
async def test_what_an_abandoned_app_raises_does_not_reach_the_server(listens: bool) -> None:
    """Starlette's "No response returned." and ClientDisconnect, say."""
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        if listens:
            await receive()
        else:
            try:
                await anyio.sleep_forever()
            except BaseException:
                raise RuntimeError("No response returned.") from None
        raise RuntimeError("No response returned.")

    assert await server.run(app) is None


async def test_an_exception_group_of_an_abandoned_app_does_not_reach_the_server() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        async with anyio.create_task_group() as tasks:

            async def fail() -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    raise KeyError("in a task of the app's")

            tasks.start_soon(fail)

    assert await server.run(app) is None


@pytest.mark.parametrize("leave", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_is_to_end_the_process_does(leave: bool, error: BaseException) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if leave:
            server.leave()
            await receive()
        raise error

    with pytest.raises(type(error)) as raised:
        await server.run(app)
    assert raised.value is error


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("watched", [True, False])
async def test_the_apps_exception_leaves_as_the_same_object(complete: bool, watched: bool) -> None:
    class Own(BaseException):
        pass

    for error in (ValueError("own"), Own("own")):
        server = Server(REQUEST)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if watched:
                await ticks(20)
            await receive()
            if complete:
                await send(START)
                await send(LAST)
                server.leave()  # noqa: B023
                await ticks(20)
            raise error  # noqa: B023

        with pytest.raises(type(error)) as raised:
            await server.run(app)
        assert raised.value is error


async def test_what_a_told_app_raises_after_answering_nobody_does_not_reach_the_server() -> None:
    """Starlette answers a ClientDisconnect with a 500, and raises it all the same."""
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await receive()
        await send({**START, "status": 500})
        await send(LAST)
        raise RuntimeError("ClientDisconnect")

    assert await server.run(app) is None

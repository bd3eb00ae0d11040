"""Nothing is read that nobody needs (contract §2)."""

from typing import Any

import anyio
import pytest

from ..scripted import REQUEST, Server, http_scope, piece, ticks

pytestmark = pytest.mark.anyio

BODY = [piece(b"a"), piece(b"b"), piece(b"c", more_body=False)]


async def test_nothing_is_read_before_watch_after_unless_the_app_asks() -> None:
    server = Server(*BODY)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(50)
        assert server.calls == 0
        await receive()
        assert server.calls == 1
        await ticks(50)
        assert server.calls == 1

    await server.run(app, watch_after=60)


async def test_with_watch_after_0_reading_begins_in_the_first_tick() -> None:
    server = Server(*BODY)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(20)
        assert server.calls == 4  # the body, and one that waits
        assert server.reading
        assert [await receive() for _ in BODY] == BODY
        assert server.calls == 4

    await server.run(app)


async def test_the_apps_own_call_is_the_watch_while_it_lasts() -> None:
    server = Server()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:

            async def stop_waiting() -> None:
                await ticks(20)
                assert server.calls == 1
                tasks.cancel_scope.cancel()

            tasks.start_soon(stop_waiting)
            await receive()
        assert server.cancelled_reads == 1
        await ticks(10)
        assert server.calls == 2  # watching began when the call was cancelled
        assert server.reading

    await server.run(app)


@pytest.mark.parametrize(
    "headers",
    [
        lambda: [(b"expect", b"100-continue")],
        lambda: [[b"host", b"x"], [b"Expect", b"100-Continue"]],
        lambda: iter([iter([b"expect", b"100-continue"])]),
    ],
)
async def test_a_request_that_expects_100_continue_is_not_read_before_the_app_asks(
    headers: Any,
) -> None:
    server = Server(*BODY)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(20)
        assert server.calls == 0
        assert await receive() == BODY[0]
        await ticks(20)
        assert server.calls == 4  # from now on it is watched

    await server.run(app, http_scope(headers=headers()))


@pytest.mark.parametrize("header", [(b"x-expect", b"100-continue"), (b"expect", b"200-ok")])
async def test_a_request_that_expects_something_else_is_watched_like_any_other(header: Any) -> None:
    server = Server(*BODY)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(20)
        assert server.calls == 4

    await server.run(app, http_scope(headers=[header]))
    assert server.calls == 4  # and not by an error


async def test_a_server_that_answers_every_call_at_once_is_not_read_for_ever() -> None:
    class Double(Server):
        async def receive(self) -> Any:
            self.calls += 1
            return {**REQUEST, "call": self.calls}

    server = Double()
    got = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(50)
        assert server.calls == 2  # the body's end, and one thing more
        for _ in range(4):
            got.append((await receive())["call"])

    await server.run(app)
    assert got == [1, 2, 3, 4]


@pytest.mark.parametrize("length", range(12))
async def test_an_app_may_end_while_its_server_answers_every_call_at_once(length: int) -> None:
    class Double(Server):
        async def receive(self) -> Any:
            return REQUEST

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        await ticks(length)
        return "returned"

    assert await Double().run(app) == "returned"


@pytest.mark.parametrize("after", range(6))
async def test_a_surplus_message_ends_the_watcher_before_another_begins(after: int) -> None:
    """Two would be in the server's receive() at once."""
    at_once = []

    class Looking(Server):
        async def receive(self) -> Any:
            at_once.append(self.reading)
            return await super().receive()

    server = Looking(REQUEST, {"type": "surplus"})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        disconnect = scope["asgi_disconnect"]
        await ticks(after)
        assert [(await receive())["type"] for _ in range(2)] == ["http.request", "surplus"]
        await disconnect.wait()

    async def leaves() -> None:
        while server.calls < 3:
            await ticks(1)
        await ticks(5)
        server.leave()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leaves)
        await server.run(app, cancel=False)
    assert at_once == [False, False, False]

"""The app gets every message, in order, and then the disconnect for ever (contract §2)."""

from typing import Any

import anyio
import pytest

from ..scripted import DISCONNECT, LAST, REQUEST, START, Server, piece, ticks

pytestmark = pytest.mark.anyio

WATCHING = [0, 0.005, float("inf")]
BODY = [piece(b"a"), piece(b"b"), piece(b"c", more_body=False)]


@pytest.mark.parametrize("watch_after", WATCHING)
@pytest.mark.parametrize("ahead", [True, False])
async def test_the_app_reads_what_the_server_gave(watch_after: float, ahead: bool) -> None:
    """The same objects, in order, whether the watcher read them ahead or not."""
    unknown = {"type": "http.of_tomorrow", "key": object()}
    odd = {"type": "http.request", "body": bytearray(b"d"), "more_body": True, "extra": 1}
    view = {"type": "http.request", "body": memoryview(b"e"), "more_body": True}
    bare = {"type": "http.request", "more_body": True}
    untyped = {"key": 1}
    given = [piece(b"a"), unknown, odd, view, bare, untyped, {"type": "http.request"}]
    server = Server(*given)
    got = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if ahead:
            await anyio.sleep(0.01) if watch_after else await ticks(20)
        for _ in given:
            got.append(await receive())
        server.leave()
        got.append(await receive())

    await server.run(app, watch_after=watch_after)
    assert [id(message) for message in got] == [id(m) for m in (*given, DISCONNECT)]


@pytest.mark.parametrize("watch_after", WATCHING)
@pytest.mark.parametrize("repeats", [True, False])
async def test_after_the_body_receive_waits_and_then_repeats_the_disconnect(
    watch_after: float, repeats: bool
) -> None:
    server = Server(*BODY, repeats=repeats)
    got = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in BODY:
            await receive()
        with anyio.move_on_after(0.02) as patience:
            await receive()
        assert patience.cancelled_caught
        server.leave()
        for _ in range(3):
            got.append(await receive())
        with anyio.CancelScope() as cancelled:
            cancelled.cancel()
            got.append(await receive())  # without a checkpoint: Starlette polls like this

    await server.run(app, watch_after=watch_after)
    assert got == [DISCONNECT] * 4
    assert all(message is got[0] for message in got)


async def test_a_poll_in_a_cancelled_scope_sees_the_disconnect() -> None:
    server = Server(REQUEST)
    seen = []

    async def poll(receive: Any) -> bool:
        with anyio.CancelScope() as scope:
            scope.cancel()
            return (await receive())["type"] == "http.disconnect"
        return False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(5)
        seen.append(await poll(receive))
        server.leave()
        await ticks(10)
        seen.append(await poll(receive))
        seen.append(await poll(receive))

    await server.run(app, cancel=False)
    assert seen == [False, True, True]


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_a_cancelled_receive_loses_nothing(watch_after: float) -> None:
    server = Server()
    got = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in (*BODY, DISCONNECT):
            for _ in range(3):
                with anyio.CancelScope() as attempt:
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(receive)
                        await ticks(3)
                        attempt.cancel()
            # The tie: the message and the cancellation in the same tick.
            async with anyio.create_task_group() as tasks:

                async def read() -> None:
                    got.append(await receive())

                tasks.start_soon(read)
                await ticks(3)
                server.give(message)
                tasks.cancel_scope.cancel()
            if not got or got[-1] is not message:
                got.append(await receive())

    await server.run(app, watch_after=watch_after, cancel=False)
    assert got == [*BODY, DISCONNECT]


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_concurrent_calls_each_get_a_message_and_all_get_the_disconnect(
    watch_after: float,
) -> None:
    server = Server()
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def read() -> None:
            got.append(await receive())

        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(read)
            await ticks(5)
            for message in BODY:
                server.give(message)
                await ticks(5)
            assert len(got) == 3
            server.leave()

    await server.run(app, watch_after=watch_after)
    assert sorted(got[:3], key=lambda m: m["body"]) == BODY
    assert got[3:] == [DISCONNECT] * 3


async def test_of_concurrent_calls_another_reads_on_when_the_reading_one_is_cancelled() -> None:
    server = Server()
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def read() -> None:
            got.append(await receive())

        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as first:
                first.start_soon(read)
                await ticks(3)
                tasks.start_soon(read)
                await ticks(3)
                first.cancel_scope.cancel()
            server.give(BODY[0])

    await server.run(app, watch_after=float("inf"))
    assert got == [BODY[0]]


@pytest.mark.parametrize("watch_after", WATCHING)
@pytest.mark.parametrize("early", [True, False])
async def test_an_error_of_the_servers_receive_is_raised_by_the_apps(
    watch_after: float, early: bool
) -> None:
    error = ValueError("the server's")

    class Broken(Server):
        async def receive(self) -> Any:
            if not self.messages:
                raise error
            return await super().receive()

    server = Broken(piece(b"a"))
    caught = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if early:
            await ticks(10)
        assert await receive() == piece(b"a")
        for _ in range(2):
            try:
                await receive()
            except ValueError as raised:
                caught.append(raised)
        await send(START)
        await send(LAST)

    await server.run(app, watch_after=watch_after)
    assert caught == [error, error]
    assert server.types == ["start", "body"]


async def test_a_call_that_waits_for_what_the_watcher_reads_does_not_poll() -> None:
    server = Server()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(5)  # the watcher reads
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(receive)
            await ticks(5)
            server.give(piece(b"a"))  # one of them has it
            await ticks(5)
            await anyio.wait_all_tasks_blocked()  # of the other one too
            blocked.append(True)
            server.leave()

    blocked: list[bool] = []
    await server.run(app)
    assert blocked


async def test_a_body_without_end_that_never_waits_does_not_block_the_loop() -> None:
    class Endless(Server):
        async def receive(self) -> Any:
            self.calls += 1
            return piece(b"x")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(50)
        assert 0 < server.calls < 500
        await send(START)
        await send(LAST)

    server = Endless()
    await server.run(app)
    assert server.types == ["start", "body"]

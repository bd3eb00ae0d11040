"""`buffer="whole"`: the body is there before the app is called (contract §2)."""

from typing import Any

import anyio
import pytest

from ..scripted import DISCONNECT, HUNG, LAST, START, Server, piece, ticks
from .refusals import END, FOUR, WATCHING, Working, answers, declared, status_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("max_memory", [0, 1 << 20])
async def test_a_whole_body_is_there_before_the_app_is_called(max_memory: int) -> None:
    server, called = Server(), []
    given = [piece(bytes([number]) * 9999) for number in range(20)]

    async def app(scope: Any, receive: Any, send: Any) -> str:
        called.append(True)
        body = b""
        while (message := await receive())["more_body"]:
            body += message["body"]
        assert body + message["body"] == b"".join(message["body"] for message in given)
        await send(START)
        await send(LAST)
        return "returned"

    async with anyio.create_task_group() as tasks:

        async def client() -> None:
            for message in given:
                await ticks(5)
                assert not called
                server.give(message)
            server.give(END)

        tasks.start_soon(client)
        result = await server.run(app, declared(20 * 9999), buffer="whole", max_memory=max_memory)
    assert result == "returned"
    assert called == [True]
    assert server.sent == [START, LAST]


@pytest.mark.parametrize("given", [[], [FOUR], [piece(bytes(99999))] * 3])
async def test_a_client_that_leaves_in_mid_upload_never_reaches_the_app(given: list[Any]) -> None:
    server, app = Server(*given, DISCONNECT), Working()
    assert await server.run(app, buffer="whole", max_memory=0) is None
    assert app.events == []
    assert server.sent == []


async def test_whole_bodies_have_their_limits_too() -> None:
    server, app = Server(FOUR, FOUR, FOUR), Working()
    await server.run(app, buffer="whole", max_body_size=10)
    assert status_of(server) == 413
    assert app.events == []


@pytest.mark.parametrize("watch_after", WATCHING)
async def test_watching_begins_when_the_app_is_called(watch_after: float) -> None:
    server = Server(FOUR, END)
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        server.leave()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled.append(True)
            raise

    await server.run(app, buffer="whole", watch_after=watch_after)
    assert cancelled == [True]


async def test_a_client_that_waits_for_100_continue_is_asked_for_a_whole_body() -> None:
    """Nobody else would ask for it."""
    server = Server(FOUR, END)
    scope = declared(4)
    scope["headers"].append((b"expect", b"100-continue"))
    await server.run(answers, scope, buffer="whole")
    assert server.sent == [START, LAST]


async def test_a_caller_that_cancels_in_mid_upload_is_heard() -> None:
    server, app = Server(FOUR), Working()
    with anyio.fail_after(HUNG), anyio.move_on_after(0.02) as callers:
        await server.run(app, buffer="whole")
    assert callers.cancelled_caught
    assert app.events == []
    assert not server.reading


async def test_a_receive_that_raises_in_mid_upload_raises_in_the_app() -> None:
    class Broken(Server):
        async def receive(self) -> Any:
            if not self.messages:
                raise ZeroDivisionError
            return await super().receive()

    got = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append(await receive())
        await receive()

    with pytest.raises(ZeroDivisionError):
        await Broken(FOUR).run(app, buffer="whole")
    assert got == [FOUR]

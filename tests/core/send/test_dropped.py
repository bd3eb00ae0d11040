"""The sends of an app that we have cancelled are dropped, and of no other (contract §3)."""

from typing import Any

import anyio
import pytest

from ..scripted import LAST, MORE, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


async def test_the_sends_of_a_cancelled_app_are_dropped_and_do_not_block() -> None:
    """Hypercorn on HTTP/2 would block them for ever."""

    class Blocking(Server):
        left = False

        async def send(self, message: Any) -> None:
            if self.left:
                await anyio.sleep_forever()
            await super().send(message)

    cleaned = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await send(MORE)
                await send(LAST)
            cleaned.append(True)

    server = Blocking(REQUEST)

    async with anyio.create_task_group() as tasks:

        async def leave() -> None:
            await ticks(10)
            server.left = True
            server.leave()

        tasks.start_soon(leave)
        await server.run(app)
    assert server.types == ["start"]
    assert cleaned == [True]


async def test_an_app_that_swallows_cancellation_and_sends_on_does_not_block_the_loop() -> None:
    server = Server(REQUEST)
    stop = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        while not stop:
            try:
                await send(MORE)
                await ticks(1)
            except BaseException:
                pass

    async with anyio.create_task_group() as tasks:

        async def look() -> None:
            await ticks(100)
            stop.append(True)

        tasks.start_soon(look)
        await server.run(app)


@pytest.mark.parametrize("swallows", [True, False])
async def test_an_app_whose_cleanup_does_nothing_but_send_does_not_block_the_loop(
    swallows: bool,
) -> None:
    """What is dropped gives the loop a turn, and is where a cancellation is heard on trio."""
    server = Server(REQUEST)
    stop = anyio.Event()
    sends = 0

    async def send_on(send: Any) -> None:
        nonlocal sends
        while not stop.is_set():
            sends += 1
            if sends == 10_000:
                return
            try:
                await send(MORE)
            except anyio.get_cancelled_exc_class():
                assert swallows

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            await anyio.sleep_forever()
        finally:
            if swallows:
                await send_on(send)
            else:
                with anyio.CancelScope(shield=True):
                    await send_on(send)

    async with anyio.create_task_group() as tasks:

        async def look() -> None:
            await ticks(100)
            stop.set()

        tasks.start_soon(look)
        await server.run(app)
    assert server.sent == []
    assert sends < 10_000, "nobody else had a turn"


@pytest.mark.parametrize("options", [{"cancel": False}, {"grace": float("inf")}])
async def test_the_sends_of_an_app_that_is_not_cancelled_go_on(options: Any) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        server.leave()
        assert (await receive())["type"] == "http.disconnect"
        await ticks(10)
        await send(START)
        await send(LAST)
        return "returned"

    assert await server.run(app, **options) == "returned"
    assert server.types == ["start", "body"]

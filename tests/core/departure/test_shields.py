"""The app's own shields, and its threads, are respected (contract §4.4)."""

import functools
import itertools
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import current_disconnect

from ...backends import only_asyncio
from ..scripted import HUNG, MORE, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


@only_asyncio
async def test_a_handler_inside_its_own_shield_is_cancelled_when_it_leaves_it() -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            with anyio.CancelScope(shield=True):
                await ticks(50)
                await anyio.sleep(0.01)
                events.append("shielded")
            await anyio.sleep_forever()
        finally:
            await ticks(5)
            events.append("cleaned up")

    assert await server.run(app) is None
    assert events == ["shielded", "cleaned up"]


@only_asyncio
async def test_a_shield_is_found_wherever_it_is() -> None:
    """Around other scopes, or in them, in the app's own task; one of another task is none."""
    shield = functools.partial(anyio.CancelScope, shield=True)
    for kinds in itertools.product((anyio.CancelScope, shield), repeat=3):
        server = Server(REQUEST)
        events: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def another() -> None:
                with shield():
                    await ticks(30)

            await receive()
            server.leave()  # noqa: B023
            outermost, inner, innermost = kinds  # noqa: B023
            with outermost():
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(another)
                    with inner(), anyio.move_on_after(HUNG), innermost():
                        await ticks(50)
                        events.append("shielded")  # noqa: B023
            await anyio.sleep_forever()

        with anyio.fail_after(HUNG):
            assert await server.run(app) is None
        assert events == ["shielded"] * (shield in kinds), kinds


@only_asyncio
async def test_a_shield_around_the_middleware_is_not_the_handlers() -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            with anyio.CancelScope():
                await anyio.sleep_forever()
        finally:
            await ticks(5)
            events.append("cleaned up")

    with anyio.CancelScope(shield=True), anyio.CancelScope():
        assert await server.run(app) is None
    assert events == ["cleaned up"]


@only_asyncio
async def test_a_handler_that_leaves_its_shields_only_to_send_is_reached_there() -> None:
    """As one that streams what a thread makes."""
    server = Server(REQUEST)
    steps = []
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        try:
            while len(steps) < 100:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.002)
                await send(MORE)
                steps.append(current_disconnect().is_set())
                server.leave()
        finally:
            await ticks(5)
            events.append("cleaned up")

    assert await server.run(app) is None
    assert sum(steps) <= 2
    assert events == ["cleaned up"]


async def test_a_thread_is_waited_for() -> None:
    server = Server(REQUEST)
    events = []
    go_on = threading.Event()

    def work() -> None:
        assert go_on.wait(5)
        events.append("thread")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await anyio.to_thread.run_sync(work)
            await anyio.sleep_forever()
        finally:
            events.append("cleanup")

    async with anyio.create_task_group() as tasks:

        async def leave() -> None:
            await ticks(5)
            server.leave()
            await ticks(20)
            assert events == []
            go_on.set()

        tasks.start_soon(leave)
        assert await server.run(app) is None
    assert events == ["thread", "cleanup"]

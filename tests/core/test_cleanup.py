"""Cleanup that our cancellation began is allowed to finish (contract §4.4)."""

import asyncio
import sys
import threading
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import current_disconnect

from .scripted import MORE, REQUEST, START, Server, ticks
from .test_cancellation import only_asyncio

pytestmark = pytest.mark.anyio


@only_asyncio
@pytest.mark.parametrize("cleanup_timeout", [10, float("inf")])
async def test_the_awaits_of_cleanup_are_not_cancelled_again(cleanup_timeout: float) -> None:
    server = Server(REQUEST)
    events = []

    class Resource:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None:
            await ticks(5)
            events.append("__aexit__")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            async with Resource():
                try:
                    await anyio.sleep_forever()
                except BaseException:
                    await anyio.sleep(0.01)
                    events.append("except")
                    raise
        finally:
            await ticks(5)
            events.append("finally")

    assert await server.run(app, cleanup_timeout=cleanup_timeout) is None
    assert events == ["except", "__aexit__", "finally"]


@only_asyncio
@pytest.mark.parametrize("ticks_of_work", range(1, 6))
async def test_a_handler_about_to_run_at_that_very_moment_is_cancelled(ticks_of_work: int) -> None:
    """Many short awaits: whatever the moment, it is reached once, and its cleanup is not."""
    for leave_after in range(12):
        server = Server(REQUEST)
        events = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            try:
                async with anyio.create_task_group() as tasks:

                    async def leave() -> None:
                        await ticks(leave_after)  # noqa: B023
                        server.leave()  # noqa: B023

                    tasks.start_soon(leave)
                    while True:
                        await ticks(ticks_of_work)
            finally:
                await ticks(5)
                events.append("cleaned up")  # noqa: B023

        assert await server.run(app) is None
        assert events == ["cleaned up"]


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


@only_asyncio
async def test_cleanup_that_takes_too_long_is_cancelled_for_good() -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            await anyio.sleep_forever()
        finally:
            try:
                await anyio.sleep_forever()
            finally:
                events.append("cancelled again")

    assert await server.run(app, cleanup_timeout=0.01) is None
    assert events == ["cancelled again"]


@only_asyncio
async def test_a_handler_that_swallows_the_cancellation_is_cancelled_again() -> None:
    server = Server(REQUEST)
    swallowed = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            swallowed.append(True)
        await anyio.sleep_forever()

    assert await server.run(app, cleanup_timeout=0.01) is None
    assert swallowed == [True]


@only_asyncio
@pytest.mark.skipif(
    sys.version_info < (3, 11),
    reason="3.10 does not count cancellations: what waits for a task may be reached twice",
)
@pytest.mark.parametrize("wait", range(1, 6))
async def test_a_task_that_the_handler_waits_for_is_cancelled_once(wait: int) -> None:
    server = Server(REQUEST)
    events = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await ticks(20)
            events.append("the task's cleanup")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        task = asyncio.ensure_future(work())
        await ticks(wait)
        server.leave()
        try:
            await task
        finally:
            await ticks(5)
            events.append("the handler's cleanup")

    assert await server.run(app) is None
    assert events == ["the task's cleanup", "the handler's cleanup"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_cleanup_that_awaits_shields_itself(anyio_backend: str) -> None:
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await ticks(5)
                events.append("shielded")
            await ticks(1)
            events.append("not shielded")

    assert await server.run(app) is None
    assert events == ["shielded"]

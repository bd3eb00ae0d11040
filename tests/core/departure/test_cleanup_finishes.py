"""Cleanup that our cancellation began is allowed to finish (contract §4.4)."""

import asyncio
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
@pytest.mark.parametrize("leave_after", range(8))
async def test_what_is_on_its_way_to_the_handler_is_not_lost(leave_after: int) -> None:
    """A task that is cancelled when it is about to run loses what its await has brought."""
    server = Server(REQUEST)
    slots: list[asyncio.Future[int]] = []
    put, got = itertools.count(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        while True:
            slots.append(asyncio.get_running_loop().create_future())
            got.append(await slots[0])

    async def feed() -> None:
        while not stopped.is_set():
            if slots and len(got) < 100:
                slots.pop().set_result(next(put))
            if len(got) == leave_after:
                server.leave()
            await ticks(1)

    stopped = anyio.Event()
    with anyio.fail_after(HUNG):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed)
            assert await server.run(app) is None
            stopped.set()
    assert got == list(range(next(put)))


@only_asyncio
async def test_what_only_looks_as_if_it_were_on_its_way_is_not_waited_for() -> None:
    """A future that is done beside the one that is awaited, in an awaitable of somebody's own."""
    server = Server(REQUEST)

    class Odd:
        def __await__(self) -> Any:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            pending: Any = asyncio.get_running_loop().create_future()
            pending._asyncio_future_blocking = True
            yield pending
            done.result()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await Odd()

    with anyio.fail_after(HUNG):
        assert await server.run(app) is None


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
@pytest.mark.parametrize("ticks_of_work", range(4))
async def test_a_handler_that_swallows_the_cancellation_is_cancelled_at_every_await(
    ticks_of_work: int,
) -> None:
    """Once its time is over, but not in its shields."""
    server = Server(REQUEST)
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        for _ in range(5):
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                events.append("swallowed")
            with anyio.CancelScope(shield=True):
                await ticks(ticks_of_work)
                events.append("shielded")

    async def caller() -> int:
        assert await server.run(app, cleanup_timeout=0.01) is None
        await ticks(3)  # what is left of a cancellation would come out here
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await asyncio.create_task(caller()) == 0
    assert events == ["swallowed", "shielded"] * 5


@only_asyncio
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

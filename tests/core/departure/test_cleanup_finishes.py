"""Cleanup that our cancellation began is allowed to finish (contract §4.4)."""

import asyncio
from typing import Any

import anyio
import pytest

from ...backends import only_asyncio
from ..scripted import REQUEST, Server, ticks

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

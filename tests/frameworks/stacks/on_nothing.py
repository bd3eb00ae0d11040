"""Plain ASGI apps, and what asyncio and anyio have for a handler that wants several tasks."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from .work import work


def app(handler: Callable[[], Awaitable[Any]]) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        if message["type"] == "http.request":
            await handler()

    return called


async def asyncio_group() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work())
        tasks.create_task(work())


async def gather() -> None:
    # Otherwise it does not wait for the second when the first has ended.
    await asyncio.gather(work(), work(), return_exceptions=True)


async def helped() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        await work()


async def helped_by_one_that_cleans_up() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        await work()


async def child() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)


async def three_children() -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(work)


STACKS = {
    "handler": lambda: app(work),
    "asyncio-group": lambda: app(asyncio_group),
    "gather": lambda: app(gather),
    "helped": lambda: app(helped),
    "helped-by-one-that-cleans-up": lambda: app(helped_by_one_that_cleans_up),
    "child": lambda: app(child),
    "three-children": lambda: app(three_children),
}

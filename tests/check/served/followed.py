"""Coroutines that are cancelled as their name says, and what a `Follower` tells of each, as JSON.

A process of its own: what follows them cannot be taken back.
"""

import asyncio
import contextlib
import gc
import json
from pathlib import Path

import anyio

from asgi_disconnect._check.events import follow, follow_generators
from asgi_disconnect._check.following import Followed, Follower, followed

HERE = str(Path(__file__).parent)


async def cleanup_in_finally():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def resource():
    try:
        yield
    finally:
        await asyncio.sleep(0.2)


async def cleanup_of_a_context_manager():
    async with resource():
        await asyncio.sleep(3600)


class Resource:
    async def __aenter__(self): ...

    async def __aexit__(self, *error):
        await asyncio.sleep(0.2)


async def cleanup_in_aexit():
    async with Resource():
        await asyncio.sleep(3600)


async def pieces():
    try:
        yield b"piece"
        yield b"piece"
    finally:
        await asyncio.sleep(0.2)


async def cleanup_of_a_generator():
    async with contextlib.aclosing(pieces()) as each:
        async for _ in each:
            await asyncio.sleep(3600)


async def cleanup_in_a_child():
    async with anyio.create_task_group() as group:
        group.start_soon(cleanup_in_finally)
        await anyio.sleep(3600)


async def cleanup_in_a_group_in_a_task():
    working = asyncio.create_task(cleanup_in_a_child())
    try:
        await asyncio.sleep(3600)
    finally:
        working.cancel()
        await asyncio.wait([working])


async def cleanup_in_a_group_of_asyncio():
    async with asyncio.TaskGroup() as group:
        group.create_task(cleanup_in_finally())
        await asyncio.sleep(3600)


async def cleanup_that_uses_a_group():
    try:
        await asyncio.sleep(3600)
    finally:
        async with anyio.create_task_group() as group:
            group.start_soon(asyncio.sleep, 0.2)


async def cleanup_that_cancels_a_child():
    child = asyncio.create_task(asyncio.sleep(3600))
    try:
        await asyncio.sleep(3600)
    finally:
        child.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await child
        await asyncio.sleep(0.1)


async def cleanup_that_is_raised_again():
    try:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            await asyncio.sleep(0.2)
            raise
    finally:
        await asyncio.sleep(0)


async def cleanup_with_timeouts():
    try:
        await asyncio.sleep(3600)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(3600)
        with anyio.move_on_after(0.01):
            await anyio.sleep(3600)
        await asyncio.sleep(0)


async def goes_on():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print(end="")
    await asyncio.sleep(0.1)


async def suppresses():
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(3600)
    await asyncio.sleep(0.1)


async def awaits_a_child_that_is_cancelled():
    child = asyncio.create_task(asyncio.sleep(3600))
    asyncio.get_running_loop().call_later(0.1, child.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await child
    await asyncio.sleep(0.1)


async def result_of(function, cancellations):
    """What is told of it, when it has been cancelled so often."""
    told = {}
    request = Followed(lambda what, **more: told.update(more), HERE)
    followed.set(request)
    task = asyncio.create_task(function())
    await asyncio.sleep(0.02)
    request.departed = True
    for _ in range(cancellations):
        task.cancel()
        await asyncio.sleep(0.05)
    await asyncio.wait([task])
    gc.collect()
    return told


CASES = [
    (case, count)
    for case in list(globals().values())
    if asyncio.iscoroutinefunction(case) and case is not result_of
    for count in (0 if case is awaits_a_child_that_is_cancelled else 1, 2)
]


async def main():
    follower = Follower(lambda: (asyncio.CancelledError,))
    follow(follower)
    follow_generators(follower)
    results = {}
    for case, count in CASES:
        # In a task, since that has a context of its own.
        task = asyncio.create_task(result_of(case, count))
        results[f"{case.__name__} {count}"] = await task
    results["remembered"] = len(follower._cleanups) + len(follower._generators)
    print(json.dumps(results))


if __name__ == "__main__":
    asyncio.run(main())

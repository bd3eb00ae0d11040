"""Where an app stands that does not end, and whose tasks are left over."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._check.following import Followed, followed
from asgi_disconnect._check.standing import (
    blocked,
    coroutines_of,
    current_task,
    is_left_over,
    name_of,
    standing,
)

HERE = str(Path(__file__).parent)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Tasks that are left over can be found on asyncio only."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


async def waits(event: asyncio.Event) -> None:
    await event.wait()


async def pieces(event: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"piece"
    await waits(event)


async def iterates(event: asyncio.Event) -> None:
    async with contextlib.aclosing(pieces(event)) as each:  # type: ignore[type-var]
        async for _ in each:
            pass


async def has_a_task(event: asyncio.Event) -> None:
    await asyncio.create_task(waits(event))


async def has_a_group(event: asyncio.Event) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(waits, event)


@pytest.mark.parametrize("function", [waits, iterates, has_a_task, has_a_group])
async def test_the_line_is_named_that_waits(function: Any) -> None:
    event = asyncio.Event()
    request = Followed(lambda *told, **more: None)

    async def serve() -> None:
        followed.set(request)
        await function(event)

    task = asyncio.create_task(serve())
    await anyio.wait_all_tasks_blocked()
    found = standing(coroutines_of(task, request), HERE)
    event.set()
    await task
    assert found["at"].startswith("waits (test_standing.py:")
    assert "thread" not in found


def works(begin: Callable[[], object], end: threading.Event) -> None:
    begin()
    end.wait(10)


@pytest.mark.parametrize("run", [asyncio.to_thread, anyio.to_thread.run_sync])
async def test_what_a_thread_runs_is_named(run: Any) -> None:
    begun, end = asyncio.Event(), threading.Event()
    begin = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, begun.set)
    request = Followed(lambda *told, **more: None)

    async def serve() -> None:
        followed.set(request)
        await run(works, begin, end)

    task = asyncio.create_task(serve())
    await begun.wait()
    found = standing(coroutines_of(task, request), HERE)
    end.set()
    await task
    assert found["thread"].startswith("works (test_standing.py:")


async def test_what_blocks_the_event_loop_is_named() -> None:
    found: list[str | None] = []
    loop_thread = threading.get_ident()

    def look() -> None:
        found.append(blocked(loop_thread, HERE))

    def blocks() -> None:
        looking = threading.Thread(target=look)
        looking.start()
        looking.join()

    blocks()
    assert found[0] is not None
    assert found[0].startswith(
        "test_what_blocks_the_event_loop_is_named.<locals>.blocks (test_standing.py:"
    )


async def app(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


async def test_the_middleware_s_tasks_are_never_left_over() -> None:
    watches = asyncio.Event()

    async def receive() -> Any:
        watches.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None: ...

    before = asyncio.all_tasks()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    served = asyncio.create_task(DisconnectMiddleware(app, watch_after=0)(scope, receive, send))
    await watches.wait()
    ours = asyncio.all_tasks() - before
    assert len(ours) == 2  # the watcher, too
    assert not any(map(is_left_over, ours))
    served.cancel()
    await asyncio.wait([served])


async def test_a_server_s_tasks_are_not_left_over_and_the_app_s_are_named() -> None:
    uvicorn = pytest.importorskip("uvicorn")
    servers = asyncio.create_task(uvicorn.Server(uvicorn.Config(app)).main_loop())
    event = asyncio.Event()
    apps = asyncio.create_task(has_a_task(event))
    await asyncio.sleep(0.01)
    assert not is_left_over(servers)
    assert is_left_over(apps)
    assert name_of(apps, HERE).startswith("has_a_task in waits (test_standing.py:")
    event.set()
    servers.cancel()
    await asyncio.wait([servers, apps])


async def test_the_running_task_is_found() -> None:
    assert current_task() is asyncio.current_task()

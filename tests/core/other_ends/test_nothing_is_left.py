"""When the middleware returns, nothing of it is left (contract §5)."""

import asyncio
import contextlib
import contextvars
import gc
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._guards.clock import alarms_of

from ...backends import only_asyncio
from ..scripted import HUNG, LAST, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio

# What an exchange is made of; the middleware and its options stay.
OURS = {
    f"asgi_disconnect.{name}"
    for name in (
        *("_exchange.http", "_exchange.watcher", "_report", "_buffer.body", "_buffer.spool"),
        *("_guards.on_asyncio", "_guards.on_trio", "_guards.fast", "_guards.groups"),
        *("_guards.records", "_guards.reference", "_guards.interruptible"),
    )
}
STAGES = ["the app", "the app's last step", "a hook"]


async def completes(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await ticks(scope["ticks"])
    await send(START)
    await send(LAST)


async def is_cancelled(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    scope["server"].leave()
    await anyio.sleep_forever()


async def is_told(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    scope["server"].leave()
    await receive()


async def fails(scope: Any, receive: Any, send: Any) -> None:
    await ticks(scope["ticks"])
    raise ValueError


async def fails_in_cleanup(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    scope["server"].leave()
    try:
        await anyio.sleep_forever()
    finally:
        raise ValueError


async def leaves_unread(scope: Any, receive: Any, send: Any) -> None:
    await ticks(scope["ticks"])


def ours() -> list[object]:
    return [thing for thing in gc.get_objects() if type(thing).__module__ in OURS]


@contextlib.asynccontextmanager
async def nothing_is_left() -> AsyncIterator[None]:
    tasks = {task.id for task in anyio.get_running_tasks()}
    gc.collect()
    before = ours()  # what another test's failure or fixture holds on to
    gc.disable()
    try:
        yield
        assert {task.id for task in anyio.get_running_tasks()} == tasks
        await ticks(2)  # the loop drops what it has just run
        assert [thing for thing in ours() if not any(thing is old for old in before)] == []
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "app", [completes, is_cancelled, is_told, fails, fails_in_cleanup, leaves_unread]
)
@pytest.mark.parametrize("watch_after", [0, 1000, float("inf")])
@pytest.mark.parametrize(("length", "reported"), [(0, False), (20, False), (20, True)])
async def test_no_task_timer_or_reference_is_left(
    app: Any, watch_after: float, length: int, reported: bool
) -> None:
    """Nor anything for the garbage collector; a timer that is left would refer to its exchange.

    The server's own timer for keep-alive keeps a copy of the context in which the app sends.
    """
    server = Server(REQUEST)
    contexts = []

    async def keeps_context(scope: Any, receive: Any, send: Any) -> None:
        contexts.append(contextvars.copy_context())
        await app(scope, receive, send)

    async def hook(report: Any) -> None:
        await ticks(2)

    options: dict[str, Any] = {"on_disconnect": hook} if reported else {}
    middleware = DisconnectMiddleware(keeps_context, watch_after=watch_after, **options)
    async with nothing_is_left():
        with contextlib.suppress(ValueError):
            # An app that is not watched is not cancelled for its client, but by this.
            with anyio.move_on_after(0.02 if watch_after else HUNG):
                await middleware(
                    {"type": "http", "headers": [], "server": server, "ticks": length},
                    server.receive,
                    server.send,
                )
    assert not server.reading


async def listens(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await receive()


@pytest.mark.parametrize("app", [completes, is_cancelled, is_told, fails, listens])
@pytest.mark.parametrize("watch_after", [0, 1000])
@pytest.mark.parametrize("reported", [False, True])
async def test_nor_is_anything_left_of_a_deadline_that_does_not_pass(
    app: Any, watch_after: float, reported: bool
) -> None:
    server = Server(REQUEST)
    options: dict[str, Any] = {"on_disconnect": lambda report: None} if reported else {}
    middleware = DisconnectMiddleware(app, watch_after=watch_after, deadline=1000, **options)
    async with nothing_is_left():
        with contextlib.suppress(ValueError):
            with anyio.move_on_after(0.02):
                await middleware(
                    {"type": "http", "headers": [], "server": server, "ticks": 5},
                    server.receive,
                    server.send,
                )
    assert not server.reading
    with contextlib.suppress(RuntimeError):  # on trio
        assert not alarms_of(asyncio.get_running_loop())._waiting


async def cancelled_by_its_caller(during: str, cancel: Callable[[], object]) -> None:
    server = Server(REQUEST)

    async def be_cancelled() -> None:
        cancel()
        await anyio.sleep_forever()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await receive()
        if during == "the app":
            await be_cancelled()
        if during == "the app's last step":
            cancel()

    async def hook(report: Any) -> None:
        if during == "a hook":
            await be_cancelled()

    middleware = DisconnectMiddleware(app, watch_after=0, on_disconnect=hook)
    await middleware({"type": "http", "headers": []}, server.receive, server.send)
    await anyio.sleep_forever()


@pytest.mark.parametrize("during", STAGES)
async def test_nothing_is_left_where_a_callers_scope_is_cancelled(during: str) -> None:
    async with nothing_is_left():
        with anyio.CancelScope() as callers:
            await cancelled_by_its_caller(during, callers.cancel)


@only_asyncio
@pytest.mark.parametrize("during", STAGES)
async def test_nothing_is_left_where_a_callers_task_is_cancelled(during: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    async with nothing_is_left():
        with contextlib.suppress(asyncio.CancelledError):
            await cancelled_by_its_caller(during, task.cancel)
        task.uncancel()


async def has_a_group(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        await ticks(2)
        scope["server"].leave()
        while (await receive())["type"] != "http.disconnect":
            pass
        await anyio.sleep_forever()


async def test_nothing_of_an_apps_group_is_left_in_a_scope_around_us() -> None:
    """As servers have one around all their requests."""
    server = Server(REQUEST)
    with anyio.CancelScope():
        async with nothing_is_left():
            middleware = DisconnectMiddleware(has_a_group, watch_after=0, grace=0)
            await middleware(
                {"type": "http", "headers": [], "server": server}, server.receive, server.send
            )

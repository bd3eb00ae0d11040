"""Waiting for a shield or a cleanup costs no polling (contract §4.4)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from ..scripted import HUNG, REQUEST, Server, ticks

pytestmark = pytest.mark.anyio

only_plain_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""uvloop does not let its calls be counted."""


@contextmanager
def counted_calls() -> Iterator[list[object]]:
    """What is put into the loop meanwhile."""
    loop: Any = asyncio.get_running_loop()
    calls: list[object] = []
    call_soon, call_at = loop.call_soon, loop.call_at

    def counting_soon(callback: Any, *args: Any, **options: Any) -> Any:
        calls.append(callback)
        return call_soon(callback, *args, **options)

    def counting_at(when: float, callback: Any, *args: Any, **options: Any) -> Any:
        calls.append(callback)
        return call_at(when, callback, *args, **options)

    loop.call_soon, loop.call_at = counting_soon, counting_at
    try:
        yield calls
    finally:
        del loop.call_soon, loop.call_at


@only_plain_asyncio
@pytest.mark.fast_guard
@pytest.mark.parametrize("where", ["shield", "cleanup", "child's cleanup"])
async def test_waiting_for_a_shield_or_a_cleanup_costs_no_polling(
    anyio_backend: str, where: str
) -> None:
    """A hundred of them at once, for a fifth of a second."""
    go_on = anyio.Event()
    waiting = 0

    async def cleans_up() -> None:
        nonlocal waiting
        try:
            await anyio.sleep_forever()
        finally:
            waiting += 1
            await go_on.wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal waiting
        await receive()
        if where == "shield":
            with anyio.CancelScope(shield=True):
                waiting += 1
                await go_on.wait()
            await anyio.sleep_forever()
        elif where == "cleanup":
            await cleans_up()
        else:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cleans_up)

    servers = [Server(REQUEST) for _ in range(100)]
    running = [asyncio.create_task(server.run(app)) for server in servers]
    await ticks(20)
    for server in servers:
        server.leave()
    while waiting < len(servers):
        await ticks(1)
    await ticks(50)
    with counted_calls() as calls:
        await asyncio.sleep(0.2)
    go_on.set()
    with anyio.fail_after(HUNG):
        await asyncio.wait(running)
    assert len(calls) < 10


@only_plain_asyncio
async def test_a_handler_that_cannot_be_cancelled_does_not_take_the_core(
    anyio_backend: str,
) -> None:
    """Once its time is over it is cancelled again and again, and ever more seldom."""
    server = Server(REQUEST)
    go_on = anyio.Event()
    swallowed = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal swallowed
        await receive()
        server.leave()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                swallowed += 1

    running = asyncio.create_task(server.run(app, cleanup_timeout=0))
    while swallowed < 15:
        await ticks(1)
    before = swallowed
    await asyncio.sleep(0.3)
    assert swallowed - before < 40
    go_on.set()
    with anyio.fail_after(HUNG):
        assert await running is None

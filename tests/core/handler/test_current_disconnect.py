"""Where a handler finds the `Disconnect` of its exchange (contract §6)."""

import gc
from typing import Any

import anyio
import anyio.to_thread
import pytest
from asgiref.sync import sync_to_async

from asgi_disconnect import Disconnect, current_disconnect
from asgi_disconnect._departure.departure import Departure

from ...backends import only_asyncio
from ..scripted import LAST, REQUEST, START, Server, http_scope

pytestmark = pytest.mark.anyio


async def test_it_is_found_in_the_scope_in_tasks_and_in_threads() -> None:
    found: list[Disconnect] = []

    def in_thread() -> None:
        found.append(current_disconnect())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def in_task() -> None:
            found.append(current_disconnect())

        found.append(scope["asgi_disconnect"])
        found.append(current_disconnect())
        await anyio.to_thread.run_sync(in_thread)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(in_task)

    await Server(REQUEST).run(app)
    assert len(found) == 4
    assert isinstance(found[0], Disconnect)
    assert all(disconnect is found[0] for disconnect in found)


@only_asyncio
async def test_it_is_found_through_asgiref() -> None:
    found = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(await sync_to_async(current_disconnect)() is scope["asgi_disconnect"])
        run = sync_to_async(current_disconnect, thread_sensitive=False)
        found.append(await run() is scope["asgi_disconnect"])

    await Server(REQUEST).run(app)
    assert found == [True, True]


async def test_outside_an_exchange_there_is_none() -> None:
    with pytest.raises(LookupError, match=r"no exchange is guarded.*websocket=True.*only="):
        current_disconnect()
    assert current_disconnect(None) is None
    assert current_disconnect("default") == "default"

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    await Server().run(app)
    assert current_disconnect(None) is None


async def test_inside_another_exchange_each_has_its_own() -> None:
    found = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        found.append(current_disconnect())

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        found.append(current_disconnect())
        await Server().run(inner)
        found.append(current_disconnect())

    await Server().run(outer)
    assert found[0] is found[2] is not found[1]


async def test_nothing_is_made_for_an_exchange_that_asks_for_nothing() -> None:
    gc.collect()
    before = sum(type(thing) is Departure for thing in gc.get_objects())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert not current_disconnect().is_set()
        await send(START)
        await send(LAST)
        assert sum(type(thing) is Departure for thing in gc.get_objects()) == before

    await Server(REQUEST).run(app, http_scope())

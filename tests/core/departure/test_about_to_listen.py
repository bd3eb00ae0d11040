"""An app that begins to listen in the very tick of the decision is told, not cancelled.

Contract §4.2: Django 5, cancelled as it has started its listener, loses its view.
"""

import asyncio
from typing import Any

import pytest

from ..scripted import REQUEST, Server, ticks


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("later", range(12))
@pytest.mark.anyio
async def test_an_app_that_has_begun_to_listen_is_told(later: int) -> None:
    server = Server(REQUEST)
    thread: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    listens = False
    reports: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            nonlocal listens
            listens = True
            await receive()

        await receive()
        await thread
        listening = asyncio.create_task(listen())
        await asyncio.wait([listening])

    running = asyncio.create_task(server.run(app, on_disconnect=reports.append))
    await ticks(20)
    server.leave()
    await ticks(later)
    if not thread.done():
        thread.set_result(None)
    await running
    assert [report.outcome for report in reports] == ["told" if listens else "cancelled"]

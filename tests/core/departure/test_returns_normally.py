"""What an app raises whose client has left stays out of the server's log (contract §4.6, §5)."""

from typing import Any

import anyio
import pytest

from ..scripted import LAST, REQUEST, START, Server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_logged_above_debug")]


@pytest.mark.parametrize("listens", [True, False])
async def test_what_an_abandoned_app_raises_does_not_reach_the_server(listens: bool) -> None:
    """Starlette's "No response returned." and ClientDisconnect, say."""
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        if listens:
            await receive()
        else:
            try:
                await anyio.sleep_forever()
            except BaseException:
                raise RuntimeError("No response returned.") from None
        raise RuntimeError("No response returned.")

    assert await server.run(app) is None


async def test_an_exception_group_of_an_abandoned_app_does_not_reach_the_server() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        async with anyio.create_task_group() as tasks:

            async def fail() -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    raise KeyError("in a task of the app's")

            tasks.start_soon(fail)

    assert await server.run(app) is None


async def test_what_a_told_app_raises_after_answering_nobody_does_not_reach_the_server() -> None:
    """Starlette answers a ClientDisconnect with a 500, and raises it all the same."""
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        await receive()
        await send({**START, "status": 500})
        await send(LAST)
        raise RuntimeError("ClientDisconnect")

    assert await server.run(app) is None

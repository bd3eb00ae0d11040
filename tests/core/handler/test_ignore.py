"""`ignore`: an endpoint opts out (contract §6)."""

from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_disconnect import current_disconnect

from ..scripted import LAST, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("in_thread", [True, False])
async def test_an_endpoint_can_opt_out(in_thread: bool) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        if in_thread:
            await anyio.to_thread.run_sync(current_disconnect().ignore)
        else:
            current_disconnect().ignore()
        server.leave()
        await ticks(30)
        assert current_disconnect().is_set()
        await send(START)
        await send(LAST)
        return "returned"

    assert await server.run(app, grace=0) == "returned"
    assert server.types == ["start", "body"]


async def test_what_an_app_raises_that_opted_out_is_its_own() -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        current_disconnect().ignore()
        server.leave()
        while (await receive())["type"] != "http.disconnect":
            pass
        raise ValueError("the app's")

    with pytest.raises(ValueError, match="the app's"):
        await server.run(app)

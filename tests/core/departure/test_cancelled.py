"""An app that does not listen is cancelled at once (contract §4.3)."""

from typing import Any

import anyio
import pytest

from ..scripted import MORE, REQUEST, START, Server, piece

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_logged_above_debug")]


@pytest.mark.parametrize("sent", [[], [START], [START, MORE]])
@pytest.mark.parametrize("given", [[], [piece(b"a")], [REQUEST]])
@pytest.mark.parametrize("reads", [True, False])
async def test_an_app_that_does_not_listen_is_cancelled(
    sent: list[Any], given: list[Any], reads: bool
) -> None:
    events = []
    server = Server(*given)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        if reads:
            for _ in given:
                await receive()
        for message in sent:
            await send(message)
        server.leave()
        try:
            await anyio.sleep_forever()
        except BaseException as error:
            events.append(isinstance(error, anyio.get_cancelled_exc_class()))
            raise
        return "unreachable"

    assert await server.run(app, grace=1000) is None
    assert events == [True]
    assert server.sent == sent

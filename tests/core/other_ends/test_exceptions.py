"""The app's exception leaves as the same object, never wrapped (contract §5)."""

from typing import Any

import pytest

from ..scripted import LAST, REQUEST, START, Server, ticks

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_is_logged_above_debug")]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("watched", [True, False])
async def test_the_apps_exception_leaves_as_the_same_object(complete: bool, watched: bool) -> None:
    class Own(BaseException):
        pass

    for error in (ValueError("own"), Own("own")):
        server = Server(REQUEST)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if watched:
                await ticks(20)
            await receive()
            if complete:
                await send(START)
                await send(LAST)
                server.leave()  # noqa: B023
                await ticks(20)
            raise error  # noqa: B023

        with pytest.raises(type(error)) as raised:
            await server.run(app)
        assert raised.value is error


@pytest.mark.parametrize("leave", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_what_is_to_end_the_process_does(leave: bool, error: BaseException) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if leave:
            server.leave()
            await receive()
        raise error

    with pytest.raises(type(error)) as raised:
        await server.run(app)
    assert raised.value is error

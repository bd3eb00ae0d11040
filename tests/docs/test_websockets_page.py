"""What "WebSockets" shows is stopped, and chosen, as it says."""

from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from .conftest import PAGES, Run
from .visiting import visit_websocket

pytestmark = pytest.mark.anyio

PAGE = "docs/guides/websockets.md"

FIRST = {
    "starlette": "from starlette.applications",
    "fastapi": "from fastapi",
    "litestar": "from litestar",
    "channels": "from channels.routing",
}
"""What the block of a framework imports."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the frameworks' own


def app_of(run_page: Run, framework: str) -> Any:
    """The application that the framework's block makes."""
    pytest.importorskip(framework)
    names = run_page(PAGE)
    (block,) = (block for block in PAGES[PAGE] if FIRST[framework] in block.code)
    block.run(names)
    return names["app"]


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:litestar")
@pytest.mark.parametrize("framework", FIRST)
async def test_the_handlers_that_it_shows_are_stopped(
    framework: str, run_page: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = await visit_websocket(app_of(run_page, framework), "/prices", "prices, please")
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
    assert capsys.readouterr().out == "stopped\n"


async def test_a_reader_that_is_told_ends_its_writer(run_page: Run) -> None:
    names, ended = run_page(PAGE), []

    async def read(receive: Any) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    async def write(send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("writer")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await names["chat"](receive, send, read, write)

    await visit_websocket(DisconnectMiddleware(app, websocket=True, grace=0), "/chat")
    assert ended == ["writer"]


@pytest.mark.parametrize(
    ("scope", "guarded"),
    [
        ({"type": "websocket", "path": "/live/prices"}, True),
        ({"type": "websocket", "path": "/chat"}, False),
        ({"type": "http", "path": "/", "method": "GET"}, True),
        ({"type": "http", "path": "/", "method": "POST"}, False),
    ],
)
def test_its_predicate_chooses(scope: dict[str, str], guarded: bool, run_page: Run) -> None:
    assert run_page(PAGE)["to_guard"](scope) is guarded


def test_the_test_that_it_shows_passes_without_the_middleware_alone(run_page: Run) -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.websockets import WebSocket, WebSocketDisconnect

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    test = run_page(PAGE)["test_echo"]
    app = Starlette(routes=[WebSocketRoute("/echo", echo)])
    test(app, WebSocketDisconnect)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test(DisconnectMiddleware(app, websocket=True), WebSocketDisconnect)

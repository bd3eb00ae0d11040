"""A tab with an open WebSocket: whatever a person does to leave stops its handler (contract §9)."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("websockets", reason="websockets is not installed")

from tests.servers.running import RunningServer
from tests.servers.websocket_configurations import WEBSOCKET_CONFIGURATIONS, WebSocketConfiguration

OPEN = """url => new Promise((opened, failed) => {
    window.kept = new WebSocket(url);
    window.kept.onopen = opened;
    window.kept.onerror = failed;
})"""


def close_when_hidden(page: Any) -> None:
    """Have the page do what it must: a browser may freeze it, with its WebSocket open, for minutes.

    Chromium 156 does, so that it can go back to it; no server can see that then.
    """
    page.evaluate("addEventListener('pagehide', () => window.kept.close(4001, 'bye'))")


def close_the_socket(page: Any, address: str) -> None:
    page.evaluate("window.kept.close(4001, 'bye')")


def close_the_tab(page: Any, address: str) -> None:
    page.close()


def reload(page: Any, address: str) -> None:
    page.reload()


def go_elsewhere(page: Any, address: str) -> None:
    # Another origin on this machine.
    close_when_hidden(page)
    page.goto(f"http://localhost:{address.split(':')[1]}/bare/quick/elsewhere")


def go_to_a_page_of_the_same_site(page: Any, address: str) -> None:
    close_when_hidden(page)
    page.goto(f"http://{address}/bare/quick/same")


WAYS = [
    close_the_socket,
    close_the_tab,
    reload,
    go_elsewhere,
    go_to_a_page_of_the_same_site,
]


@pytest.fixture(
    scope="module",
    params=[each for each in WEBSOCKET_CONFIGURATIONS if not each.http2],
    ids=lambda each: each.name,
)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    configuration: WebSocketConfiguration = request.param
    if configuration.missing:
        pytest.skip(f"not installed: {', '.join(configuration.missing)}")
    running = RunningServer(configuration)
    running.wait_until_up()
    yield running
    running.stop(patience=1)


def open_websocket(visitor: Any, server: RunningServer, mode: str, handler: str) -> tuple[Any, str]:
    """A tab with a WebSocket, once its handler works."""
    key = server.new_key()
    address = "{}:{}".format(*server.address)
    page = visitor.new_page()
    page.goto(f"http://{address}/bare/quick/page-{key}")
    page.evaluate(OPEN, f"ws://{address}/{mode}/{handler}/{key}")
    server.wait(key, "working")
    return page, key


@pytest.mark.parametrize("leave", WAYS)
def test_a_handler_that_only_pushes_is_stopped_and_cleans_up(
    visitor: Any, server: RunningServer, leave: Callable[[Any, str], None]
) -> None:
    page, key = open_websocket(visitor, server, "guarded", "waits")
    leave(page, "{}:{}".format(*server.address))
    assert server.end(key)[-3:] == ["cancelled", "cleaned up 1", "returned"]


@pytest.mark.parametrize("leave", WAYS)
def test_a_handler_that_listens_is_told(
    visitor: Any, server: RunningServer, leave: Callable[[Any, str], None]
) -> None:
    page, key = open_websocket(visitor, server, "guarded", "listens")
    leave(page, "{}:{}".format(*server.address))
    assert server.end(key)[-2:] == ["finished", "returned"]
    assert server.report(key).startswith("connected told disconnect ")


def test_a_tab_that_stays_is_pushed_to(visitor: Any, server: RunningServer) -> None:
    page, key = open_websocket(visitor, server, "guarded", "waits")
    server.watching_has_begun()
    heard = "new Promise(heard => window.kept.onmessage = event => heard(event.data))"
    page.evaluate(f"window.heard = {heard}; 0")
    server.open_gate(key)
    assert page.evaluate("window.heard") == "news"
    assert "finished" in server.end(key)

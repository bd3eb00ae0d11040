"""SIGTERM with WebSockets open: uvicorn says "disconnect", 1012; else it is as it is unguarded."""

from .conftest import Start
from .running import RunningServer
from .websocket_configurations import WEBSOCKET_CONFIGURATIONS, WebSocketConfiguration

SERVERS = WEBSOCKET_CONFIGURATIONS

OURS = " asgi_disconnect: "


def open_two(server: RunningServer, mode: str) -> list[str]:
    keys = []
    for handler in ("works", "listens"):
        keys.append(server.new_key())
        server.open_websocket(f"/{mode}/{handler}/{keys[-1]}")
        server.wait(keys[-1], "working")
    return keys


def stories(server: RunningServer, keys: list[str]) -> list[list[str]]:
    """What happened to them, but for the cleanup, in which the process may exit."""
    return [
        story[: story.index("cancelled") + 1] if "cancelled" in story else story
        for story in map(server.story, keys)
    ]


def test_websockets_end_with_the_server(
    configuration: WebSocketConfiguration, start_server: Start
) -> None:
    server = start_server(configuration)
    keys = open_two(server, "guarded")
    server.watching_has_begun()
    server.terminate()
    if configuration.shutdown_code is not None:
        # Unguarded, the first would keep the server from ending.
        assert server.end(keys[0])[2:] == ["cancelled", "cleaned up 1", "returned"]
        told = f"told {configuration.shutdown_code}"
        assert server.end(keys[1])[2:] == [told, "finished", "returned"]
        server.wait_for_exit()
    else:
        for key in keys:
            server.open_gate(key)
        server.close_clients()
    assert OURS not in server.log()


def test_websockets_that_take_too_long_end_as_they_would_unguarded(
    configuration: WebSocketConfiguration, start_server: Start
) -> None:
    overdue = configuration.sigterm_overdue
    server = start_server(configuration, *configuration.graceful)
    bare = open_two(server, "bare")
    # With the ten seconds of `grace`, the server is the first to lose patience.
    guarded = open_two(server, "patient")
    server.watching_has_begun()
    server.terminate()
    if overdue in ("waits", "cancels and hangs"):  # for the connections, with or without us
        server.close_clients()
        for key in (*bare, *guarded):
            server.open_gate(key)
            server.end(key)
    else:
        server.wait_for_exit()
        assert stories(server, guarded) == stories(server, bare)
    assert OURS not in server.log()

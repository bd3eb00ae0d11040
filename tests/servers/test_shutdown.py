"""SIGTERM with requests in flight: what the server does to a bare app, it does to a guarded one.

A cancellation that is not ours passes through, at once and unchanged (contract §4.5).
"""

from .configurations import Configuration
from .conftest import Start
from .running import Client, RunningServer

FINISHED = [
    ["called", "read 5", "working", "cleaned up", "finished", "returned"],
    ["called", "working", "cleaned up", "read 5", "finished", "returned"],
]

OURS = " asgi_disconnect: "


def in_flight(server: RunningServer, mode: str, *handlers: str) -> tuple[list[str], list[Client]]:
    """The keys and the clients of requests that run."""
    keys, clients = [], []
    for handler in handlers:
        key, client = server.new_key(), server.connect()
        client.request(f"/{mode}/{handler}/{key}", body=b"hello")
        server.wait(key, "working")
        keys.append(key)
        clients.append(client)
    return keys, clients


def stories(server: RunningServer, keys: list[str]) -> list[list[str]]:
    """What happened to the requests, but for the cleanup, in which the process may exit."""
    return [
        story[: story.index("cancelled") + 1] if "cancelled" in story else story
        for story in map(server.story, keys)
    ]


def test_requests_in_flight_end_as_they_would_unguarded(
    configuration: Configuration, start_server: Start
) -> None:
    server = start_server(configuration)
    bare, bare_clients = in_flight(server, "bare", "slow", "late")
    guarded, guarded_clients = in_flight(server, "guarded", "slow", "late")
    server.watching_has_begun()
    server.terminate()
    if configuration.sigterm == "waits":
        server.wait_until_deaf()
        for key in (*bare, *guarded):
            server.open_gate(key)
        for keys, clients in ((bare, bare_clients), (guarded, guarded_clients)):
            assert [client.response().body for client in clients] == [b"done", b"5"]
            assert [server.end(key) for key in keys] == FINISHED
        server.close_clients()
    server.wait_for_exit()
    assert stories(server, guarded) == stories(server, bare)
    if configuration.sigterm == "cancels":
        assert "cancelled" in server.story(guarded[0])
    assert OURS not in server.log()


def test_requests_that_take_too_long_end_as_they_would_unguarded(
    configuration: Configuration, start_server: Start
) -> None:
    server = start_server(configuration, *configuration.graceful)
    bare, _ = in_flight(server, "bare", "slow", "late", "listen")
    guarded, _ = in_flight(server, "guarded", "slow", "late", "listen")
    server.watching_has_begun()
    server.terminate()
    overdue = configuration.sigterm_overdue
    if overdue == "waits":
        server.wait_until_deaf()
        server.close_clients()
        assert all("cancelled" in server.end(key) for key in guarded[:2])
        for key in bare:
            server.open_gate(key)
    elif overdue == "cancels and hangs":
        assert [server.end(key) for key in guarded[:2]] == [server.end(key) for key in bare[:2]]
        assert "cancelled" in server.story(guarded[0])
        return
    server.wait_for_exit()
    if overdue != "waits":
        assert stories(server, guarded) == stories(server, bare)
        if overdue != "kills or cancels":
            assert ("cancelled" in server.story(guarded[0])) is (overdue == "cancels")
    assert OURS not in server.log()

"""`Expect: 100-continue`: nothing is read before the app's first `receive()` (contract §2)."""

from .configurations import CONFIGURATIONS
from .http1 import Http1Client
from .running import RunningServer

SERVERS = [each for each in CONFIGURATIONS if each.calls_on_partial_upload and not each.http2]


def request(server: RunningServer, handler: str) -> tuple[str, Http1Client]:
    """A request whose body waits for `100 Continue`, at a time when it would be watched."""
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/{handler}/{key}", length=5, expect=True)
    server.wait(key, "working")
    server.watching_has_begun()
    return key, client


def test_the_client_is_not_asked_for_the_body_before_the_app_asks(server: RunningServer) -> None:
    key, client = request(server, "late")
    assert client.has_continue() is server.configuration.continues_on_headers
    server.open_gate(key)
    if not server.configuration.continues_on_headers:
        client.wait_for_continue()
    client.send(b"hello")
    assert client.response().body == b"5"
    assert server.end(key)[-2:] == ["finished", "returned"]


def test_an_app_can_refuse_without_asking_for_the_body(server: RunningServer) -> None:
    key, client = request(server, "unread")
    server.open_gate(key)
    if server.configuration.continues_on_headers:
        client.wait_for_continue()
    answer = client.read_head()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert server.end(key)[-2:] == ["finished", "returned"]


def test_a_client_that_leaves_is_noticed_once_the_app_has_asked(
    server: RunningServer, way: str
) -> None:
    key, client = request(server, "late")
    if server.configuration.continues_on_headers:
        client.wait_for_continue()
    client.leave(way)
    server.watching_has_begun()
    assert "cancelled" not in server.story(key)
    server.open_gate(key)
    assert server.end(key)[-2:] == ["told", "returned"]


def test_an_app_that_has_asked_is_watched(server: RunningServer, way: str) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/piecemeal/{key}", length=5, expect=True)
    client.wait_for_continue()
    client.send(b"hel")
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key)[-3:] == ["cancelled", "cleaned up", "returned"]

"""Behind a proxy: which departures the server is told of, and what the middleware does then."""

import pytest

from .running import RunningProxy

CANCELLED = ["working", "cancelled", "cleaned up", "returned"]


def it_runs_to_its_end(proxy: RunningProxy, key: str) -> None:
    """The app is not cancelled, though its client has left."""
    server = proxy.server
    proxy.has_had_time()
    assert server.story(key)[-1] == "working"
    server.open_gate(key)
    story = server.end(key)
    assert "cancelled" not in story
    assert "finished" in story


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_leaves_while_the_app_works(
    proxy: RunningProxy, method: str, way: str
) -> None:
    server, client = proxy.server, proxy.connect()
    key = server.new_key()
    client.request(f"/guarded/slow/{key}", method=method, body=b"hello" * (method == "POST"))
    server.wait(key, "working")
    client.leave(way)
    if way in proxy.proxy.http1.while_waiting:
        assert server.end(key)[-4:] == CANCELLED
    else:
        it_runs_to_its_end(proxy, key)
        if way == "half-close":
            assert client.response().body == b"done"


def test_a_client_that_leaves_a_stream_which_pauses(proxy: RunningProxy, way: str) -> None:
    server, client = proxy.server, proxy.connect()
    key = server.new_key()
    client.request(f"/guarded/stream/{key}", method="GET")
    server.wait(key, "working")
    if proxy.proxy.delivers_streams:
        assert client.begin_response(5) == b"first"
    proxy.has_had_time()  # to see the pause: until then it may look at its client
    client.leave(way)
    if way in proxy.proxy.http1.in_silent_streams:
        assert server.end(key)[-4:] == CANCELLED
    else:
        it_runs_to_its_end(proxy, key)


def test_a_client_that_leaves_a_stream_which_goes_on(proxy: RunningProxy, way: str) -> None:
    server, client = proxy.server, proxy.connect()
    key = server.new_key()
    client.request(f"/guarded/tick/{key}", method="GET")
    server.wait(key, "working")
    if proxy.proxy.delivers_streams:
        assert client.begin_response(5) == b"tick\n"
    client.leave(way)
    if way in proxy.proxy.http1.in_busy_streams:
        assert server.end(key)[-2:] == ["cancelled", "returned"]
    else:
        it_runs_to_its_end(proxy, key)


def test_a_client_that_leaves_in_mid_upload(proxy: RunningProxy, way: str) -> None:
    server, client = proxy.server, proxy.connect()
    key = server.new_key()
    client.request(f"/guarded/slow/{key}", body=bytes(50_000), length=100_000)
    if proxy.proxy.calls_on_partial_upload:
        server.wait(key, "called")
        client.leave(way)
        assert server.end(key) == ["called", "told", "returned"]
    else:
        proxy.has_had_time()
        client.leave(way)
        proxy.has_had_time()
        assert server.story(key) == []


def test_a_client_that_stays_has_its_response(proxy: RunningProxy) -> None:
    server, client = proxy.server, proxy.connect()
    key = server.new_key()
    client.request(f"/guarded/slow/{key}", body=b"hello")
    server.wait(key, "working")
    proxy.has_had_time()
    server.open_gate(key)
    assert client.response().body == b"done"
    assert "cancelled" not in server.end(key)

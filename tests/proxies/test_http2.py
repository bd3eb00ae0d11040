"""HTTP/2 between client and proxy: a client leaves a stream or its whole connection."""

from .configurations import Told
from .running import RunningProxy
from .test_http1 import CANCELLED, it_runs_to_its_end

OVER_HTTP2 = True


def told(proxy: RunningProxy) -> Told:
    """What is known of it over HTTP/2."""
    assert proxy.proxy.http2 is not None
    return proxy.proxy.http2


def test_a_client_that_leaves_while_the_app_works(proxy: RunningProxy, way: str) -> None:
    server, client = proxy.server, proxy.connect_http2()
    key = server.new_key()
    client.request(f"/guarded/slow/{key}", method="GET")
    server.wait(key, "working")
    client.leave(way)
    if way in told(proxy).while_waiting:
        assert server.end(key)[-4:] == CANCELLED
    else:
        it_runs_to_its_end(proxy, key)


def test_a_client_that_leaves_a_stream_which_pauses(proxy: RunningProxy, way: str) -> None:
    server, client = proxy.server, proxy.connect_http2()
    key = server.new_key()
    client.request(f"/guarded/stream/{key}", method="GET")
    server.wait(key, "working")
    assert client.begin_response(5) == b"first"
    proxy.has_had_time()  # to see the pause: until then it may look at its client
    client.leave(way)
    if way in told(proxy).in_silent_streams:
        assert server.end(key)[-4:] == CANCELLED
    else:
        it_runs_to_its_end(proxy, key)


def test_a_client_that_leaves_a_stream_which_goes_on(proxy: RunningProxy, way: str) -> None:
    server, client = proxy.server, proxy.connect_http2()
    key = server.new_key()
    client.request(f"/guarded/tick/{key}", method="GET")
    server.wait(key, "working")
    assert client.begin_response(5) == b"tick\n"
    client.leave(way)
    if way in told(proxy).in_busy_streams:
        assert server.end(key)[-2:] == ["cancelled", "returned"]
    else:
        it_runs_to_its_end(proxy, key)


def test_a_client_that_leaves_in_mid_upload(proxy: RunningProxy, way: str) -> None:
    server, client = proxy.server, proxy.connect_http2()
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


def test_a_stream_that_is_reset_ends_no_other_of_its_connection(proxy: RunningProxy) -> None:
    server, client = proxy.server, proxy.connect_http2()
    left, kept = server.new_key(), server.new_key()
    client.request(f"/guarded/tick/{left}", method="GET")
    leaves = client.stream
    client.request(f"/guarded/slow/{kept}", method="GET")
    server.wait(left, "working")
    server.wait(kept, "working")
    client.leave("rst-stream", leaves)
    server.end(left)
    server.open_gate(kept)
    assert client.response().body == b"done"
    assert "cancelled" not in server.end(kept)

"""HTTP/2: a stream that is reset is one client gone, the others on its connection are not."""

from .configurations import CONFIGURATIONS
from .http2 import Http2Client
from .running import RunningServer

SERVERS = [each for each in CONFIGURATIONS if each.http2]


def test_the_other_streams_go_on_when_one_is_reset(server: RunningServer) -> None:
    leaving, staying = server.new_key(), server.new_key()
    client = server.connect()
    assert isinstance(client, Http2Client)
    client.request(f"/guarded/slow/{leaving}", body=b"hello")
    reset = client.stream
    client.request(f"/guarded/slow/{staying}", body=b"hello")
    server.wait(leaving, "working")
    server.wait(staying, "working")
    client.leave("rst-stream", reset)
    assert "cancelled" in server.end(leaving)
    server.open_gate(staying)
    assert client.response().body == b"done"
    assert "cancelled" not in server.end(staying)


def test_all_streams_are_stopped_when_the_connection_is_closed(server: RunningServer) -> None:
    keys = [server.new_key() for _ in range(5)]
    client = server.connect()
    for key in keys:
        client.request(f"/guarded/slow/{key}", body=b"hello")
        server.wait(key, "working")
    client.leave("fin")
    assert all("cancelled" in server.end(key) for key in keys)

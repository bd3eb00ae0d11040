"""A client that stays notices nothing: the body, the response, the connection (contract §2, §5)."""

import pytest

from .running import RunningServer

PIECES = [bytes([65 + number % 26]) * 40_000 for number in range(20)]


def test_a_body_comes_whole_though_it_is_read_ahead(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    whole = b"".join(PIECES)
    client.request(f"/guarded/piecemeal/{key}", body=PIECES[0], length=len(whole))
    if server.configuration.calls_on_partial_upload:
        server.wait(key, "working")
        server.watching_has_begun()
    for piece in PIECES[1:]:
        client.send(piece)
    server.open_gate(key)
    response = client.response()
    assert response.status == 200
    assert response.body == whole
    assert server.end(key)[-2:] == ["finished", "returned"]


def test_a_body_that_nobody_has_read_comes_whole(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/late/{key}", body=b"".join(PIECES))
    server.watching_has_begun()
    server.open_gate(key)
    assert client.response().body == b"800000"
    assert server.end(key)[-2:] == ["finished", "returned"]


def test_nothing_is_lost_when_the_app_gives_up_reading_and_reads_again(
    server: RunningServer,
) -> None:
    if not server.configuration.calls_on_partial_upload:
        pytest.skip("the app is called when the body is complete")
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/hesitant/{key}", length=5)
    server.wait(key, "working")
    server.watching_has_begun()
    server.open_gate(key)
    server.wait(key, "gave up")
    client.send(b"hello")
    assert client.response().body == b"hello"
    assert server.end(key)[-2:] == ["finished", "returned"]


def test_the_response_comes_whole_though_the_client_is_watched(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/stream/{key}")
    assert client.begin_response(5) == b"first"
    server.watching_has_begun()
    server.open_gate(key)
    assert client.response().body[-4:] == b"last"
    assert server.end(key)[-1] == "returned"


def test_a_connection_serves_many_requests(server: RunningServer) -> None:
    client = server.connect()
    for number in range(5):
        key = server.new_key()
        client.request(f"/guarded/slow/{key}", body=b"x" * number)
        server.open_gate(key)
        assert client.response().body == b"done"
        assert server.end(key) == [
            *("called", f"read {number}", "working", "cleaned up", "finished", "returned"),
        ]


def test_a_client_that_leaves_in_its_second_request_is_noticed(
    server: RunningServer, way: str
) -> None:
    first, second, client = server.new_key(), server.new_key(), server.connect()
    client.request(f"/guarded/slow/{first}", body=b"hello")
    server.watching_has_begun()
    server.open_gate(first)
    assert client.response().body == b"done"
    assert server.end(first)[-2:] == ["finished", "returned"]
    client.request(f"/guarded/slow/{second}", body=b"hello")
    server.wait(second, "working")
    client.leave(way)
    assert server.end(second) == [
        *("called", "read 5", "working", "cancelled", "cleaned up", "returned"),
    ]


def test_background_work_of_the_first_request_outlives_the_second_one(
    server: RunningServer, way: str
) -> None:
    first, second, client = server.new_key(), server.new_key(), server.connect()
    client.request(f"/guarded/background/{first}", body=b"hello")
    assert client.response().body == b"done"
    server.wait(first, "working")
    client.request(f"/guarded/slow/{second}", body=b"hello")
    server.wait(second, "working")
    client.leave(way)
    assert "cancelled" in server.end(second)
    server.open_gate(first)
    story = server.end(first)
    assert "finished" in story
    assert "cancelled" not in story

"""A client that leaves stops the app's work, on every server and in every way (contract §4)."""

import pytest

from .running import RunningServer

CANCELLED = ["working", "cancelled", "cleaned up", "returned"]


def test_an_app_is_cancelled_when_the_client_leaves_after_the_body(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/slow/{key}", body=b"hello")
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == ["called", "read 5", *CANCELLED]


def test_an_app_is_cancelled_when_the_client_leaves_a_request_without_a_body(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/unread/{key}", method="GET")
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == ["called", *CANCELLED]


@pytest.mark.parametrize("body", [b"", b"hel"], ids=["before-the-body", "during-the-body"])
def test_an_app_that_reads_is_told_when_the_client_leaves(
    server: RunningServer, way: str, body: bytes
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/slow/{key}", body=body, length=5)
    if server.configuration.calls_on_partial_upload:
        server.wait(key, "called")
        client.leave(way)
        assert server.end(key) == ["called", "told", "returned"]
    else:
        client.leave(way)
        server.watching_has_begun()
        assert server.story(key) == []


@pytest.mark.parametrize("body", [b"", b"hel"], ids=["before-the-body", "during-the-body"])
def test_an_app_that_does_not_read_is_cancelled_when_the_client_leaves(
    server: RunningServer, way: str, body: bytes
) -> None:
    if not server.configuration.calls_on_partial_upload:
        pytest.skip("the app is called when the body is complete")
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/unread/{key}", body=body, length=5)
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == ["called", *CANCELLED]


def test_an_app_that_has_read_a_part_is_cancelled_when_the_client_leaves(
    server: RunningServer, way: str
) -> None:
    if not server.configuration.calls_on_partial_upload:
        pytest.skip("the app is called when the body is complete")
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/piecemeal/{key}", body=b"hel", length=5)
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == ["called", *CANCELLED]


def test_a_client_that_leaves_behind_a_large_body_is_noticed(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/unread/{key}", body=bytes(1_500_000))
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == ["called", *CANCELLED]


def test_an_app_is_cancelled_when_the_client_leaves_during_the_response(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/stream/{key}")
    assert client.begin_response(5) == b"first"
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == ["called", "read 0", *CANCELLED]


def test_an_app_that_sends_without_an_end_is_cancelled_when_the_client_leaves(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/pour/{key}")
    server.wait(key, "working")
    client.leave(way)
    if way == "half-close":
        client.read_until_closed()  # hypercorn on trio shields a send that waits for the client
    assert server.end(key) == ["called", "read 0", "working", "cancelled", "returned"]


def test_an_app_that_responds_when_it_is_cancelled_ends(server: RunningServer, way: str) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/parting/{key}")
    server.wait(key, "working")
    client.leave(way)
    expected = ["called", "read 0", "working", "cancelled", "cleaned up", "sent", "returned"]
    assert server.end(key) == expected


def test_background_work_goes_on_when_the_client_leaves_after_the_response(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/background/{key}", body=b"hello")
    assert client.response().body == b"done"
    server.wait(key, "working")
    client.leave(way)
    server.watching_has_begun()
    server.open_gate(key)
    story = server.end(key)
    assert sorted(story) == sorted(
        ["called", "read 5", "responded", "working", "cleaned up", "finished", "returned"]
    )


def test_background_work_goes_on_when_the_client_has_been_watched_and_leaves(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/slow_background/{key}", body=b"hello")
    server.watching_has_begun()
    server.open_gate(key)
    assert client.response().body == b"done"
    server.wait(key, "responded")
    client.leave(way)
    server.watching_has_begun()
    server.open_gate(f"{key}-background")
    assert server.end(key) == [
        *("called", "read 5", "working", "cleaned up", "responded"),
        *("working", "cleaned up", "finished", "returned"),
    ]


def test_background_work_goes_on_after_the_response_while_the_client_stays(
    server: RunningServer,
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/background/{key}", body=b"hello")
    assert client.response().body == b"done"
    server.watching_has_begun()
    server.open_gate(key)
    assert server.end(key)[-2:] == ["finished", "returned"]

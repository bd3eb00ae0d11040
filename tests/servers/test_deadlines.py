"""A deadline bounds the work on every server, though the client stays (contract §10)."""

import http.client
import time

import pytest

from .running import RunningServer

DEADLINE = 0.25
HUNG = 5.0
"""Seconds: only what hangs takes so long."""

ATTEMPTS = 5
"""In one of so many, the server is quick enough to get to the point before the deadline passes."""

CANCELLED = ["working", "cancelled", "cleaned up", "returned"]


def the_connection_is_usable_or_closed(server: RunningServer, client: object) -> None:
    """As HTTP wants it: on HTTP/1 our answer says ``connection: close``."""
    if server.configuration.http2 or not server.configuration.heeds_close:
        key = server.new_key()
        client.request(f"/long-deadline/quick/{key}")  # type: ignore[attr-defined]
        assert client.response().status == 200  # type: ignore[attr-defined]
    else:
        assert client.read_until_closed() == b""  # type: ignore[attr-defined]


@pytest.mark.parametrize("handler", ["unread", "slow"])
def test_a_handler_that_works_too_long_is_cancelled_and_its_client_has_a_504(
    server: RunningServer, handler: str
) -> None:
    key, client = server.new_key(), server.connect()
    started = time.monotonic()
    client.request(f"/deadline/{handler}/{key}", body=b"hello")
    assert client.response().status == 504
    assert DEADLINE * 0.9 < time.monotonic() - started < HUNG
    read = ["read 5"] if handler == "slow" else []
    assert server.end(key) == ["called", *read, *CANCELLED]
    the_connection_is_usable_or_closed(server, client)


def test_an_upload_that_does_not_arrive_in_time_is_answered(server: RunningServer) -> None:
    if not server.configuration.calls_on_partial_upload:
        pytest.skip("the app is called when the body is complete")
    key, client = server.new_key(), server.connect()
    client.request(f"/deadline/slow/{key}", body=b"hel", length=5)
    assert client.response().status == 504
    assert server.end(key) == ["called", "told", "returned"]


def test_an_app_that_listens_is_told(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/deadline/listen/{key}", body=b"hello")
    assert client.response().status == 504
    assert server.end(key) == ["called", "read 5", "working", "told", "finished", "returned"]
    the_connection_is_usable_or_closed(server, client)


def test_a_stream_is_cut_off(server: RunningServer) -> None:
    """Servers have a right to log that: a response that is incomplete is no response."""
    server.expect_complaints()
    for _ in range(ATTEMPTS):
        key, client = server.new_key(), server.connect()
        client.request(f"/deadline/stream/{key}")
        if (begun := client.begin_response(5)) == b"first":
            break
    assert begun == b"first"
    assert server.end(key) == ["called", "read 0", *CANCELLED]
    if server.configuration.cuts_off:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            client.response()


def test_a_thread_does_not_hold_the_answer_up(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/deadline/thread/{key}")
    server.wait(key, "working")  # it is told on another socket than the answer
    assert client.response().status == 504
    assert server.story(key) == ["called", "working"]
    server.open_gate(key)
    assert server.end(key) == ["called", "working", "thread ended", "returned"]


def test_background_work_goes_on(server: RunningServer) -> None:
    second = server.new_key()
    for _ in range(ATTEMPTS):
        first, client = server.new_key(), server.connect()
        client.request(f"/deadline/background/{first}", body=b"hello")
        if (response := client.response()).status == 200:
            break
    assert response.body == b"done"
    server.wait(first, "working")
    other = server.connect()  # whose deadline passes later
    other.request(f"/deadline/unread/{second}")
    assert other.response().status == 504
    server.open_gate(first)
    assert "finished" in server.end(first)
    assert "cancelled" not in server.story(first)


def test_one_that_is_in_time_is_left_alone(server: RunningServer) -> None:
    client = server.connect()
    for _ in range(3):
        key = server.new_key()
        server.open_gate(key)
        client.request(f"/long-deadline/slow/{key}", body=b"hello")
        assert client.response().body == b"done"
        assert server.end(key)[-2:] == ["finished", "returned"]

"""`granian --task-impl rust`: its tasks cannot be cancelled; requests pass through, with a warning.

On Python 3.12 and later granian has no such tasks any more and falls back to asyncio's.
"""

import sys

import pytest

from .configurations import CONFIGURATIONS, Configuration
from .conftest import Start
from .running import RunningServer

SERVERS = [each for each in CONFIGURATIONS if each.name == "granian"]
FALLS_BACK = sys.version_info >= (3, 12)
OURS = "WARNING asgi_disconnect: "


@pytest.fixture
def rust(configuration: Configuration, start_server: Start) -> RunningServer:
    return start_server(configuration, "--task-impl", "rust")


@pytest.mark.skipif(FALLS_BACK, reason="granian falls back to asyncio's tasks")
def test_requests_pass_through_with_one_warning(rust: RunningServer) -> None:
    for handler in ("slow", "stream", "background", "piecemeal"):
        for mode in ("guarded", "bare", "guarded"):
            key, client = rust.new_key(), rust.connect()
            client.request(f"/{mode}/{handler}/{key}", body=b"hello")
            rust.open_gate(key)
            assert client.response().status == 200
            assert rust.end(key)[-2:] == ["finished", "returned"]
    assert rust.log().count(OURS) == 1
    assert len(rust.complaints()) == 2  # ours, and granian's own


@pytest.mark.skipif(FALLS_BACK, reason="granian falls back to asyncio's tasks")
def test_concurrent_requests_are_not_mixed_up(rust: RunningServer) -> None:
    running = [(rust.new_key(), rust.connect()) for _ in range(5)]
    for key, client in running:
        client.request(f"/guarded/slow/{key}", body=b"hello")
        rust.wait(key, "working")
    for key, client in reversed(running):
        rust.open_gate(key)
        assert client.response().body == b"done"
        assert rust.end(key)[-2:] == ["finished", "returned"]


@pytest.mark.skipif(FALLS_BACK, reason="granian falls back to asyncio's tasks")
def test_the_app_is_told_as_the_server_tells_it(rust: RunningServer) -> None:
    key, client = rust.new_key(), rust.connect()
    client.request(f"/guarded/listen/{key}", body=b"hello")
    rust.wait(key, "working")
    client.leave("fin")
    assert rust.end(key) == ["called", "read 5", "working", "told", "finished", "returned"]


@pytest.mark.skipif(FALLS_BACK, reason="granian falls back to asyncio's tasks")
def test_an_abandoned_request_runs_to_its_end(rust: RunningServer) -> None:
    abandoned, client = rust.new_key(), rust.connect()
    client.request(f"/guarded/slow/{abandoned}", body=b"hello")
    rust.wait(abandoned, "working")
    client.leave("fin")
    listening, client = rust.new_key(), rust.connect()
    client.request(f"/guarded/listen/{listening}", body=b"hello")
    rust.wait(listening, "working")
    client.leave("fin")
    rust.end(listening)
    assert rust.story(abandoned)[-1] == "working"
    rust.open_gate(abandoned)
    assert rust.end(abandoned)[-2:] == ["finished", "returned"]


@pytest.mark.skipif(not FALLS_BACK, reason="granian runs its own tasks")
def test_requests_are_guarded_where_granian_falls_back_to_asyncio(rust: RunningServer) -> None:
    key, client = rust.new_key(), rust.connect()
    client.request(f"/guarded/slow/{key}", body=b"hello")
    rust.wait(key, "working")
    client.leave("fin")
    assert "cancelled" in rust.end(key)
    assert OURS not in rust.log()

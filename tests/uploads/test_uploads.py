"""Real uploads on the real servers: whole, bounded in memory, and never blind (contract §2)."""

import time

import pytest

from ..servers.running import RunningServer
from .sending import MIB, Upload, digest

BOUND = MIB + 4 * MIB
"""By how much a process's memory may grow: `max_memory`, and what bare servers take (up to 2 MiB),
threads, and what the allocator does not give back.  The bodies are larger by far."""

BODY_TIMEOUT = 0.2
"""What `impatient` in `served/uploading.py` has."""


def assert_bounded(upload: Upload) -> None:
    """The memory's peak is within the bound, where the server itself does not hold the body."""
    peak = upload.peak()
    if upload.server.configuration.name != "daphne":
        assert peak <= BOUND, f"{peak / MIB:.1f} MiB"


def test_64_mb_to_an_app_that_reads(server: RunningServer) -> None:
    upload = Upload(server, "reading", 64 * MIB)
    upload.send()
    assert upload.client.response().body == digest(64 * MIB)
    assert_bounded(upload)


def test_an_app_that_reads_slowly_gets_it_all(server: RunningServer) -> None:
    """16 MB: sixteen times `max_memory` wait for the app."""
    upload = Upload(server, "slow", 16 * MIB)
    upload.send()
    server.wait(upload.key, "working")
    server.open_gate(upload.key)
    assert upload.client.response().body == digest(16 * MIB)
    assert_bounded(upload)


def test_an_app_that_never_reads_does_not_hold_its_client_up(server: RunningServer) -> None:
    upload = Upload(server, "unread", 16 * MIB)
    upload.send()
    server.wait(upload.key, "working")
    server.open_gate(upload.key)
    assert upload.client.response().body == digest(0)
    assert_bounded(upload)


def test_an_app_that_reads_half_of_it(server: RunningServer) -> None:
    upload = Upload(server, "half", 16 * MIB)
    upload.send()
    server.wait(upload.key, "working")
    server.open_gate(upload.key)
    assert upload.client.response().status == 200
    assert_bounded(upload)


@pytest.mark.parametrize("handler", ["reading", "slow"])
def test_a_chunked_body(server: RunningServer, handler: str) -> None:
    if server.configuration.http2:
        pytest.skip("there are no chunks in HTTP/2")
    upload = Upload(server, handler, 16 * MIB, chunked=True)
    upload.send()
    if handler == "slow":
        server.wait(upload.key, "working")
        server.open_gate(upload.key)
    assert upload.client.response().body == digest(16 * MIB)
    assert_bounded(upload)


def test_a_whole_body(server: RunningServer) -> None:
    upload = Upload(server, "reading", 16 * MIB, mode="whole")
    upload.send(15 * MIB)
    if server.configuration.calls_on_partial_upload:
        server.wait(upload.key, "called")
    assert "reached" not in server.story(upload.key)
    upload = Upload(server, "reading", 16 * MIB, mode="whole")
    upload.send()
    assert upload.client.response().body == digest(16 * MIB)
    assert_bounded(upload)


@pytest.mark.parametrize("way", ["fin", "rst"])
@pytest.mark.parametrize(
    ("mode", "handler", "ends"),
    [("guarded", "reading", "told"), ("guarded", "unread", "cancelled"), ("whole", "reading", "")],
)
def test_a_client_that_leaves_in_the_middle(
    server: RunningServer, mode: str, handler: str, ends: str, way: str
) -> None:
    upload = Upload(server, handler, 16 * MIB, mode=mode)
    upload.send(6 * MIB)
    if server.configuration.calls_on_partial_upload:
        server.wait(upload.key, "reached" if ends else "called")
        upload.client.leave(way)
        story = server.end(upload.key)
        assert story[-1] == "returned"
        assert ("reached" in story) is bool(ends)
        assert "finished" not in story
        assert not ends or ends in story
        assert_bounded(upload)
    else:
        upload.client.leave(way)
        assert server.story(upload.key) == []


def test_a_client_that_sends_50_mb_to_an_app_that_never_reads_and_leaves_is_noticed(
    server: RunningServer,
) -> None:
    """Within a second of the last byte."""
    noticed: list[float] = []
    for _ in range(3):  # a machine that is busy with other things gets another chance
        upload = Upload(server, "unread", 50 * MIB)
        upload.send()
        server.wait(upload.key, "working")
        left = time.monotonic()
        upload.client.leave("fin")
        story = server.end(upload.key)
        noticed.append(time.monotonic() - left)
        assert "cancelled" in story
        assert_bounded(upload)
        if noticed[-1] < 1:
            break
    assert min(noticed) < 1, f"noticed after {noticed} s"


def test_an_upload_that_nobody_reads_does_not_stall_its_connection(
    server: RunningServer,
) -> None:
    if not server.configuration.http2:
        pytest.skip("HTTP/1 has one request at a time")
    upload = Upload(server, "unread", 4 * MIB)
    upload.send()
    first = upload.client.stream  # type: ignore[attr-defined]
    upload.client.request(f"/guarded/reading/{server.new_key()}", body=b"")
    assert upload.client.response().body == digest(0)
    server.open_gate(upload.key)
    assert upload.client.response(first).body == digest(0)  # type: ignore[call-arg]


@pytest.mark.parametrize(("mode", "status"), [("guarded", b"417"), ("limited", b"413")])
def test_a_refusal_on_the_headers_alone_leaves_the_client_unsent(
    server: RunningServer, mode: str, status: bytes
) -> None:
    """By the app, or by `max_body_size`."""
    configuration = server.configuration
    if configuration.http2 or not configuration.calls_on_partial_upload:
        pytest.skip("the app is called when the body is complete, or there is no such header")
    upload = Upload(server, "refusing", 64 * MIB, mode=mode, expect=True)
    if configuration.continues_on_headers:
        upload.client.wait_for_continue()
    answer = upload.client.read_until_closed()
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"connection: close" in answer.lower()
    assert answer.count(b"HTTP/1.1") == 1
    assert server.end(upload.key)[-1] == "returned"


def test_a_body_that_grows_too_large_is_refused(server: RunningServer) -> None:
    """While it comes, and without reading the rest."""
    if server.configuration.http2 or not server.configuration.calls_on_partial_upload:
        pytest.skip("the body's length is declared, or all of it is there before the app is called")
    upload = Upload(server, "unread", 64 * MIB, mode="limited", chunked=True)
    upload.send_until_refused(2 * MIB)
    assert upload.client.read_head().startswith(b"HTTP/1.1 413 ")
    story = server.end(upload.key)
    assert "cancelled" in story
    assert story[-1] == "returned"


def test_a_body_that_is_declared_too_large_is_refused(server: RunningServer) -> None:
    """On HTTP/2 too, where the refusal must not name the connection."""
    if not server.configuration.calls_on_partial_upload:
        pytest.skip("the app is called when the body is complete")
    upload = Upload(server, "reading", 64 * MIB, mode="limited")
    assert upload.client.response().status == 413
    story = server.end(upload.key)
    assert "reached" not in story
    assert story[-1] == "returned"


@pytest.mark.parametrize(("handler", "ends"), [("reading", "told"), ("unread", "cancelled")])
def test_a_body_that_does_not_go_on_is_refused(
    server: RunningServer, handler: str, ends: str
) -> None:
    if not server.configuration.calls_on_partial_upload:
        pytest.skip("the app is called when the body is complete")
    upload = Upload(server, handler, 64 * MIB, mode="impatient")
    began = time.monotonic()
    upload.send_until_refused(2 * MIB)
    if time.monotonic() - began > BODY_TIMEOUT:
        # Refused before it was all sent: hypercorn then has a KeyError of its own on HTTP/2.
        server.expect_complaints()
    assert upload.client.response().status == 408
    story = server.end(upload.key)
    assert ends in story
    assert story[-1] == "returned"

"""An app that listens is told, not cancelled; what it is told does not depend on the server.

Contract §2 (the disconnect again and again, without a checkpoint) and §4.2 (told first, `grace`).
"""

from .running import RunningServer


def test_an_app_that_listens_is_told_and_not_cancelled(server: RunningServer, way: str) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/listen/{key}", body=b"hello")
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == ["called", "read 5", "working", "told", "finished", "returned"]


def test_an_app_that_listens_after_watching_has_begun_is_told(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/listen/{key}", body=b"hello")
    server.watching_has_begun()
    client.leave(way)
    assert server.end(key) == ["called", "read 5", "working", "told", "finished", "returned"]


def test_an_app_that_is_told_and_goes_on_is_cancelled_after_grace(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/impatient/deaf/{key}", body=b"hello")
    server.wait(key, "working")
    client.leave(way)
    story = server.end(key)
    assert story.index("told") < story.index("cancelled") < story.index("cleaned up")
    assert story[-1] == "returned"


def test_an_app_that_is_told_has_its_grace(server: RunningServer, way: str) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/deaf/{key}", body=b"hello")
    server.wait(key, "working")
    client.leave(way)
    server.wait(key, "told")
    server.watching_has_begun()
    server.open_gate(key)
    story = server.end(key)
    assert "cancelled" not in story
    assert story[-1] == "returned"


def test_the_disconnect_is_told_again_and_without_a_checkpoint(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/again/{key}", body=b"hello")
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == [
        *("called", "read 5", "working"),
        *("told", "told again", "told without a checkpoint", "returned"),
    ]


def test_an_app_that_listens_twice_is_told_twice(server: RunningServer, way: str) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/both/{key}", body=b"hello")
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == ["called", "read 5", "working", "told", "told", "returned"]


def test_an_app_that_polled_once_is_unharmed_while_the_client_stays(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/polled_once/{key}", body=b"hello")
    server.wait(key, "working")
    server.watching_has_begun()
    server.open_gate(key)
    assert client.response().body == b"done"
    assert server.end(key) == [
        *("called", "read 5", "working", "cleaned up", "finished", "returned"),
    ]


def test_an_app_that_polled_once_is_cancelled_when_the_client_leaves(
    server: RunningServer, way: str
) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/polled_once/{key}", body=b"hello")
    server.wait(key, "working")
    client.leave(way)
    assert server.end(key) == [
        *("called", "read 5", "working", "cancelled", "cleaned up", "returned"),
    ]


def test_an_app_that_polls_ends_when_the_client_leaves(server: RunningServer, way: str) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/guarded/polling/{key}", body=b"hello")
    server.wait(key, "polled")
    server.watching_has_begun()
    assert not {"told", "returned"} & set(server.story(key))
    client.leave(way)
    assert server.end(key)[-1] == "returned"  # told, or cancelled between two polls

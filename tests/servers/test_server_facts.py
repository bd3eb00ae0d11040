"""What the servers do by themselves, on the bare app: the table in `configurations`, row by row.

None of this is ours.  A server's new version that fails here has changed, and so may what the
documentation says about it, and what the middleware can promise on it (contract §8).
"""

import json

import pytest

from .running import RunningServer


def test_scope(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/bare/scope/{key}", method="GET")
    told = json.loads(client.response().body)
    server.end(key)
    facts = server.configuration
    extensions = None if facts.extensions is None else sorted(facts.extensions)
    assert told["asgi"].get("spec_version") == facts.spec_version
    assert told["extensions"] == extensions
    assert told["state"] is facts.state


def test_disconnect_is_repeated(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/bare/again/{key}")
    server.wait(key, "working")
    client.leave("fin")
    expected = "told again" if server.configuration.repeats_disconnect else "asked in vain"
    assert expected in server.end(key)


def test_two_calls_are_woken(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/bare/both/{key}")
    server.wait(key, "working")
    client.leave("fin")
    told = 2 if server.configuration.wakes_all else 1
    assert server.end(key).count("told") == told


def test_the_end_of_the_response_is_told(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/bare/listen_on/{key}")
    assert client.response().status == 200
    expected = "told" if server.configuration.tells_of_completion else "listened in vain"
    assert expected in server.end(key)


def test_half_close(server: RunningServer) -> None:
    if server.configuration.http2:
        pytest.skip("HTTP/2 has none")
    key, client = server.new_key(), server.connect()
    client.request(f"/bare/polite/{key}")
    server.wait(key, "working")
    client.leave("half-close")
    assert server.end(key)[-3:] == ["told", "sent", "returned"]
    response = client.read_until_closed()
    assert response.startswith(b"HTTP/1.1 200 ") is server.configuration.half_close_delivers
    assert bool(response) is server.configuration.half_close_delivers


def test_send_when_the_connection_is_gone(server: RunningServer, way: str) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/bare/polite/{key}")
    server.wait(key, "working")
    client.leave(way)
    if server.configuration.send_waits_when_gone and way != "rst-stream":
        server.wait(key, "told")
        server.watching_has_begun()
        assert server.story(key)[-1] == "told"
    else:
        assert server.end(key)[-3:] == ["told", "sent", "returned"]


def test_a_told_app_whose_send_waits_is_cancelled_after_grace(
    server: RunningServer, way: str
) -> None:
    """Ours, for once: what the fact before this one costs with the middleware."""
    key, client = server.new_key(), server.connect()
    client.request(f"/impatient/polite/{key}")
    server.wait(key, "working")
    client.leave(way)
    waits = server.configuration.send_waits_when_gone and way != "rst-stream"
    assert server.end(key)[-3:] == ["told", "cancelled" if waits else "sent", "returned"]


def test_app_without_a_response(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/bare/silent/{key}")
    server.end(key)
    if server.configuration.answers_for_silent_app:
        assert client.response().status == 500
        server.expect_complaints()
    else:
        server.watching_has_begun()
        assert not client.has_data()  # neither a response nor the end


def test_poll_before_the_disconnect(server: RunningServer) -> None:
    key, client = server.new_key(), server.connect()
    client.request(f"/bare/polling/{key}")
    if server.configuration.poll_tells:
        server.wait(key, "told")
        server.expect_complaints()  # the app ends without a response
        return
    server.wait(key, "polled")
    server.watching_has_begun()
    assert "told" not in server.story(key)
    client.leave("fin")
    if server.configuration.poll_hears:
        assert "told" in server.end(key)
    else:
        server.watching_has_begun()
        server.open_gate(key)
        assert "told" not in server.end(key)


@pytest.mark.parametrize("late", [False, True], ids=["before-watching", "while-watching"])
def test_close_behind_a_pipelined_request(server: RunningServer, late: bool) -> None:
    if server.configuration.http2:
        pytest.skip("HTTP/2 has no pipelines")
    first, second, client = server.new_key(), server.new_key(), server.connect()
    if late:
        client.request(f"/guarded/slow/{first}")
        server.wait(first, "working")
        server.watching_has_begun()
        client.request(f"/guarded/quick/{second}")
    else:
        client.pipeline(f"/guarded/slow/{first}", f"/guarded/quick/{second}")
    server.wait(first, "working")
    server.watching_has_begun()
    client.leave("fin")
    facts = server.configuration
    if facts.sees_past_pipelined_late if late else facts.sees_past_pipelined:
        assert "cancelled" in server.end(first)
    else:
        server.watching_has_begun()
        assert "cancelled" not in server.story(first)
        server.open_gate(first)
        assert "cancelled" not in server.end(first)
        server.expect_complaints()  # uvicorn on uvloop: the app's send() raises RuntimeError

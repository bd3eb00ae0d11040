"""What the servers do by themselves with WebSockets, on bare handlers.

The table is in `websocket_configurations`, and in docs/servers.  None of this is ours: a server's
new version that fails here has changed.
"""

import pytest

from .conftest import Start
from .running import RunningServer
from .websocket_clients import WebSocketClient
from .websocket_configurations import WEBSOCKET_CONFIGURATIONS, WebSocketConfiguration

SERVERS = WEBSOCKET_CONFIGURATIONS


def facts_of(server: RunningServer) -> WebSocketConfiguration:
    assert isinstance(server.configuration, WebSocketConfiguration)
    return server.configuration


def check_send(server: RunningServer, key: str, kind: str) -> None:
    """The app's last `send` has done nothing, or raised; if no OSError, the server logs that."""
    if kind == "nothing":
        assert server.end(key)[-2:] == ["sent", "returned"]
        return
    assert server.end(key)[-2:] == [f"send raised {kind}", f"raised {kind}"]
    if kind != "OSError":
        server.wait_for_complaints()


def is_closed_by_the_app(server: RunningServer, client: WebSocketClient) -> int | None:
    """The app's close code, once the client has replied."""
    code = client.read_until_closed()
    if not facts_of(server).survives_reply:
        server.expect_complaints()
    client.close()
    return code


def test_scope(server: RunningServer) -> None:
    key, facts = server.new_key(), facts_of(server)
    client = server.open_websocket(f"/bare/describes/{key}")
    assert is_closed_by_the_app(server, client) == 1000
    extensions = facts.websocket_extensions
    assert server.end(key)[1:-1] == [
        f"spec_version {facts.websocket_spec_version}",
        f"extensions {'missing' if extensions is None else ' '.join(extensions)}",
        f"state {facts.state}",
    ]


def test_an_app_that_listens_is_told_with_a_code(server: RunningServer, way: str) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/bare/listens/{key}")
    server.wait(key, "working")
    client.leave(way)
    code = facts_of(server).code(way)
    assert server.end(key)[2:] == [f"told {code}", "finished", "returned"]


def test_an_app_that_does_not_receive_is_not_told(server: RunningServer, way: str) -> None:
    """What all this is for."""
    key = server.new_key()
    client = server.open_websocket(f"/bare/waits/{key}")
    server.wait(key, "working")
    client.leave(way)
    server.watching_has_begun()
    assert server.story(key) == ["called", "working"]
    server.open_gate(key)
    raises = facts_of(server).push_to_gone == "OSError"
    assert server.end(key)[-1] == ("raised OSError" if raises else "returned")


def test_an_app_that_pushes_is_told_by_send_or_never(server: RunningServer, way: str) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/bare/pushes_bits/{key}")
    server.wait(key, "working")
    client.leave(way)
    facts = facts_of(server)
    server.watching_has_begun()
    server.open_gate(key)
    story = server.end(key)
    if f"send raised {facts.push_in_between}" in story or facts.push_to_gone == "OSError":
        assert "finished" not in story
        server.wait_for_complaints()  # the app's task group has made a group of it
    else:
        assert "finished" in story


def test_messages_come_before_the_disconnect(server: RunningServer, way: str) -> None:
    if way == "rst":
        pytest.skip("a reset may overtake what was sent before it")
    key = server.new_key()
    client = server.open_websocket(f"/bare/catches_up/{key}")
    server.wait(key, "working")
    for text in ("one", "two", "three"):
        client.send(text)
    client.leave(way)
    server.open_gate(key)
    code = facts_of(server).code(way)
    assert server.end(key)[-6:] == [
        *("got one", "got two", "got three"),
        *(f"told {code}", "finished", "returned"),
    ]


def test_whether_the_disconnect_is_repeated(server: RunningServer, way: str) -> None:
    key, facts = server.new_key(), facts_of(server)
    client = server.open_websocket(f"/bare/again/{key}")
    server.wait(key, "working")
    client.leave(way)
    story = server.end(key)
    assert f"told {facts.code(way)}" in story
    after = facts.after_close if way == "close" else facts.after_loss
    assert any(each.endswith(" again") for each in story) is (after == "told")
    assert ("asked in vain" in story) is (after == "in vain")


def test_what_send_does_when_the_app_has_been_told(server: RunningServer, way: str) -> None:
    key, kind = server.new_key(), facts_of(server).send_when_told
    client = server.open_websocket(f"/bare/answers/{key}")
    server.wait(key, "working")
    client.leave(way)
    check_send(server, key, kind)


def test_how_many_calls_a_lost_connection_wakes(server: RunningServer) -> None:
    key, facts = server.new_key(), facts_of(server)
    client = server.open_websocket(f"/bare/both/{key}")
    server.wait(key, "working")
    client.leave("fin")
    story = server.end(key)
    server.complaints_expected = not facts.woken
    assert story.count(f"told {facts.lost_code}") == facts.woken


def test_a_cancelled_receive_loses_nothing(server: RunningServer) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/bare/hesitates/{key}")
    server.wait(key, "working")
    client.send("one")
    client.send("two")
    server.open_gate(key)
    assert server.end(key)[-3:] == ["got one", "got two", "returned"]


def test_what_the_app_is_told_of_its_own_close(server: RunningServer) -> None:
    key, facts = server.new_key(), facts_of(server)
    client = server.open_websocket(f"/bare/closes_and_listens/{key}")
    assert is_closed_by_the_app(server, client) == 4000
    assert server.end(key)[-2:] == [facts.tells_of_own_close, "returned"]


def test_what_send_does_after_the_app_s_own_close(server: RunningServer) -> None:
    if "hypercorn" in server.configuration.name:
        pytest.skip("nothing, if the client's reply has come by then; else it raises")
    key, kind = server.new_key(), facts_of(server).send_after_close
    client = server.open_websocket(f"/bare/closes_and_pushes/{key}")
    assert is_closed_by_the_app(server, client) == 4000
    check_send(server, key, kind)


def test_a_close_frame_is_answered(server: RunningServer) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/bare/waits/{key}")
    server.wait(key, "working")
    client.send_close()
    if facts_of(server).replies_unasked:
        assert client.read_close() is not None
    else:
        server.watching_has_begun()
        assert not client.has_data()
    client.close()
    server.open_gate(key)
    server.end(key)


def test_an_app_can_refuse(server: RunningServer) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/bare/refuses/{key}", accepted=False)
    server.wait(key, "working")
    if facts_of(server).refuses_at_once:
        assert client.status() == 403
    server.open_gate(key)
    assert client.status() == 403
    assert server.end(key)[-2:] == ["finished", "returned"]


def test_an_app_can_deny_with_a_response_of_its_own(server: RunningServer) -> None:
    key, facts = server.new_key(), facts_of(server)
    client = server.open_websocket(f"/bare/denies/{key}", accepted=False)
    if facts.denies:
        assert client.status() == 402
        assert client.body_of(4) == b"nope"
    server.open_gate(key)
    server.end(key)
    server.complaints_expected = not facts.denies


def test_an_app_that_talks_nonsense(server: RunningServer) -> None:
    key, facts = server.new_key(), facts_of(server)
    client = server.open_websocket(f"/bare/talks_nonsense/{key}", accepted=False)
    server.end(key)
    server.expect_complaints()
    if facts.nonsense:
        assert client.status() == facts.nonsense
    else:
        server.watching_has_begun()
        assert not client.has_data()


def test_an_app_that_returns(server: RunningServer) -> None:
    key, facts = server.new_key(), facts_of(server)
    client = server.open_websocket(f"/bare/returns/{key}")
    server.end(key)
    if facts.ends_with_app:
        assert is_closed_by_the_app(server, client) == facts.code_of_return
    else:
        server.watching_has_begun()
        assert not client.has_data()


def test_a_client_that_leaves_in_the_handshake(server: RunningServer) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/bare/listens_at_once/{key}", accepted=False)
    server.wait(key, "working")
    client.leave("fin")
    if facts_of(server).tells_in_handshake:
        assert any(each.startswith("told ") for each in server.end(key))
        server.expect_complaints()  # it has neither accepted nor refused
    else:
        server.watching_has_begun()
        assert server.story(key)[-1] == "working"


def test_a_flood_is_held_back(server: RunningServer) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/bare/tidies/{key}")
    server.wait(key, "working")
    sent = client.flood(40_000_000, ask=server.watching_has_begun)
    assert (sent < 20_000_000) is facts_of(server).holds_back
    client.leave("rst")
    server.open_gate(key)
    server.end(key)


def test_whether_the_server_cancels_the_app_by_itself(
    configuration: WebSocketConfiguration, start_server: Start
) -> None:
    server = start_server(configuration, *configuration.cancels_by_itself)
    key = server.new_key()
    client = server.open_websocket(f"/bare/waits/{key}")
    server.wait(key, "working")
    client.leave("close")
    if configuration.cancels_by_itself:
        assert "cancelled" in server.end(key)
    else:
        server.watching_has_begun()
        assert server.story(key) == ["called", "working"]
        server.open_gate(key)
        server.end(key)

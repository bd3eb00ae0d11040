"""A WebSocket whose client has gone: on every server, in every way to leave (contract §9).

"guarded" gives no `grace`, so that an app that does not listen is cancelled at once; "patient"
gives the default, ten seconds; "impatient" gives little.
"""

import pytest

from .running import RunningServer
from .websocket_clients import WebSocketClient
from .websocket_configurations import WEBSOCKET_CONFIGURATIONS, WebSocketConfiguration

SERVERS = WEBSOCKET_CONFIGURATIONS


def facts_of(server: RunningServer) -> WebSocketConfiguration:
    assert isinstance(server.configuration, WebSocketConfiguration)
    return server.configuration


def open_and_work(
    server: RunningServer, mode: str, handler: str, *, accepted: bool = True
) -> tuple[str, WebSocketClient]:
    """A WebSocket whose handler works, or listens."""
    key = server.new_key()
    client = server.open_websocket(f"/{mode}/{handler}/{key}", accepted=accepted)
    server.wait(key, "working")
    return key, client


def check_report(server: RunningServer, key: str, outcome: str, way: str) -> None:
    code = facts_of(server).code(way)
    assert server.report(key) == f"connected {outcome} disconnect {code}"


# An app that does not listen is cancelled


def test_an_app_that_waits_for_something_to_push_is_cancelled(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "guarded", "waits")
    client.leave(way)
    assert server.end(key) == ["called", "working", "cancelled", "cleaned up 1", "returned"]
    check_report(server, key, "cancelled", way)


def test_an_app_that_has_been_watched_for_long_is_cancelled(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "guarded", "waits")
    server.watching_has_begun()
    client.leave(way)
    assert server.end(key) == ["called", "working", "cancelled", "cleaned up 1", "returned"]
    check_report(server, key, "cancelled", way)


def test_an_app_that_pushes_all_the_time_stops(server: RunningServer, way: str) -> None:
    if facts_of(server).push_to_gone != "nothing":
        pytest.skip("the server's `send` tells it")
    key, client = open_and_work(server, "guarded", "pushes")
    client.leave(way)
    story = server.end(key)
    if not was_told_in_between(server, story):
        assert story[-3:] == ["cancelled", "cleaned up 1", "returned"]
        check_report(server, key, "cancelled", way)


@pytest.mark.parametrize("mode", ["guarded", "patient"])
def test_an_app_whose_send_raises_ends_by_itself(
    server: RunningServer, way: str, mode: str
) -> None:
    if facts_of(server).push_to_gone == "nothing":
        pytest.skip("the server's `send` does nothing")
    if mode == "guarded" and facts_of(server).send_when_told == "RuntimeError":
        pytest.skip("what it raises when we know already may come together with our cancellation")
    key, client = open_and_work(server, mode, "pushes")
    client.leave(way)
    story = server.end(key)
    assert story[-2] == "cleaned up 1"
    if was_told_in_between(server, story):
        return
    assert story[-1] == "returned"
    if "cancelled" not in story:  # the watcher was not the first to know
        assert server.report(key).startswith("connected finished ")


def was_told_in_between(server: RunningServer, story: list[str]) -> bool:
    """Whether `send` raised what nobody can tell from the app's own error, before we knew."""
    kind = facts_of(server).push_in_between
    if not kind or story[-1] != f"raised {kind}":
        return False
    assert story[-3:-1] == [f"send raised {kind}", "cleaned up 1"]
    server.wait_for_complaints()
    return True


def test_cleanup_is_finished_though_it_awaits_again_and_again(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "guarded", "tidies")
    client.leave(way)
    assert server.end(key)[-5:] == [
        *("cancelled", "cleaned up 1", "cleaned up 2", "cleaned up 3", "returned"),
    ]


def test_what_an_app_pushes_when_it_is_cancelled_is_dropped(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "guarded", "parts")
    client.leave(way)
    assert server.end(key)[-4:] == ["cancelled", "cleaned up 1", "sent", "returned"]


def test_messages_that_nobody_has_read_do_not_hide_the_departure(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "guarded", "waits")
    for number in range(200):
        client.send(f"message {number}")
    client.leave(way)
    assert server.end(key) == ["called", "working", "cancelled", "cleaned up 1", "returned"]


def test_an_app_is_cancelled_when_its_client_leaves_before_it_is_accepted(
    server: RunningServer,
) -> None:
    if not facts_of(server).tells_in_handshake:
        pytest.skip("the server does not report it")
    key, client = open_and_work(server, "guarded", "works_before_it_accepts", accepted=False)
    client.leave("fin")
    assert server.end(key) == ["called", "working", "cancelled", "cleaned up 1", "returned"]
    server.expect_complaints()  # uvicorn and daphne want an answer, though nobody is there


# `grace`: a departure is no reason to drop what is in the works


def test_an_app_that_does_not_listen_has_grace(server: RunningServer, way: str) -> None:
    key, client = open_and_work(server, "patient", "works")
    client.leave(way)
    server.watching_has_begun()
    server.open_gate(key)
    assert server.end(key) == ["called", "working", "cleaned up 1", "finished", "returned"]
    check_report(server, key, "finished", way)


def test_an_app_that_does_not_listen_is_cancelled_after_grace(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "impatient", "waits")
    client.leave(way)
    assert server.end(key) == ["called", "working", "cancelled", "cleaned up 1", "returned"]
    check_report(server, key, "cancelled", way)


def test_an_app_that_comes_back_to_receive_in_time_is_told_and_never_cancelled(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "patient", "catches_up")
    texts = [str(number) for number in range(20)] if way != "rst" else []
    for text in texts:
        client.send(text)
    client.leave(way)
    server.watching_has_begun()
    server.open_gate(key)
    assert server.end(key) == [
        *("called", "working", "cleaned up 1"),
        *(f"got {text}" for text in texts),
        *(f"told {facts_of(server).code(way)}", "finished", "returned"),
    ]
    check_report(server, key, "told", way)


# An app that listens is told


def test_an_app_that_listens_is_told_and_never_cancelled(server: RunningServer, way: str) -> None:
    key, client = open_and_work(server, "guarded", "listens")
    client.send("hello")
    server.wait(key, "got hello")
    server.watching_has_begun()
    client.leave(way)
    told = f"told {facts_of(server).code(way)}"
    assert server.end(key)[2:] == ["got hello", told, "finished", "returned"]
    check_report(server, key, "told", way)


def test_what_follows_the_client_s_close_is_finished(server: RunningServer, way: str) -> None:
    """A transcript, a bill: not cancelled, though there is no grace."""
    key = server.new_key()
    client = server.open_websocket(f"/guarded/follows_up/{key}")
    server.wait(key, "listening")
    client.leave(way)
    server.wait(key, "working")
    server.watching_has_begun()
    server.open_gate(key)
    assert server.end(key)[-4:] == ["working", "cleaned up 1", "finished", "returned"]
    check_report(server, key, "told", way)


def test_the_disconnect_is_told_again_and_without_a_checkpoint(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "guarded", "again")
    client.leave(way)
    code = facts_of(server).code(way)
    assert server.end(key)[2:] == [
        *(f"told {code}", f"told {code} again", "told without a checkpoint", "returned"),
    ]


def test_an_app_that_listens_twice_is_told_twice(server: RunningServer, way: str) -> None:
    key, client = open_and_work(server, "guarded", "both")
    client.leave(way)
    code = facts_of(server).code(way)
    assert server.end(key)[2:] == [f"told {code}", f"told {code}", "returned"]


def test_a_reader_and_its_writer_end_by_themselves(server: RunningServer, way: str) -> None:
    key, client = open_and_work(server, "guarded", "reads_and_writes")
    client.leave(way)
    story = server.end(key)
    assert story.index(f"told {facts_of(server).code(way)}") < story.index("cancelled")
    assert "writer ended" in story
    assert story[-1] == "returned"
    check_report(server, key, "told", way)


def test_a_writer_who_is_left_behind_by_its_reader_is_the_app_s_affair(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "guarded", "reads_and_pushes_on")
    client.leave(way)
    server.wait(key, f"told {facts_of(server).code(way)}")
    server.watching_has_begun()
    assert "cancelled" not in server.story(key)
    server.open_gate(key)
    assert server.end(key)[-2:] == ["finished", "returned"]


def test_what_send_does_for_an_app_that_was_told_is_the_server_s(
    server: RunningServer, way: str
) -> None:
    key, client = open_and_work(server, "guarded", "answers")
    client.leave(way)
    kind = facts_of(server).send_when_told
    said = "sent" if kind == "nothing" else f"send raised {kind}"
    assert server.end(key)[-2:] == [said, "returned"]  # what it raised stays out of the log


# After the app's own end nothing is cancelled


def test_work_after_the_app_s_close_goes_on(server: RunningServer) -> None:
    key = server.new_key()
    client = server.open_websocket(f"/guarded/closes/{key}")
    assert client.read_until_closed() == 4000
    client.close()
    server.wait(key, "working")
    server.watching_has_begun()
    server.open_gate(key)
    assert server.end(key)[-5:] == ["closed", "working", "cleaned up 1", "finished", "returned"]
    assert not server.story(f"{key}-report")
    if not facts_of(server).survives_reply:
        server.expect_complaints()


@pytest.mark.parametrize(("handler", "status"), [("refuses", 403), ("denies", 402)])
def test_work_after_the_app_s_refusal_goes_on(
    server: RunningServer, handler: str, status: int
) -> None:
    facts = facts_of(server)
    if not (facts.denies if handler == "denies" else facts.refuses_at_once):
        pytest.skip("the server does not do it")
    key, client = open_and_work(server, "guarded", handler, accepted=False)
    assert client.status() == status
    client.close()
    server.watching_has_begun()
    server.open_gate(key)
    assert server.end(key)[-4:] == ["working", "cleaned up 1", "finished", "returned"]
    assert not server.story(f"{key}-report")


@pytest.mark.parametrize("handler", ["closes_and_pushes", "talks_nonsense", "returns"])
def test_what_an_app_does_wrong_has_the_server_s_answer(
    server: RunningServer, handler: str
) -> None:
    if handler == "closes_and_pushes" and "hypercorn" in server.configuration.name:
        pytest.skip("it is answered if the client's reply has come by then, and raises if not")
    facts, ends = facts_of(server), []
    answered = {"talks_nonsense": bool(facts.nonsense), "returns": facts.ends_with_app}
    for mode in ("bare", "guarded"):
        key = server.new_key()
        client = server.open_websocket(f"/{mode}/{handler}/{key}", accepted=False)
        if not answered.get(handler, True):
            server.end(key)
            server.watching_has_begun()  # what comes is there by now
            client.socket.settimeout(0.5)
        try:
            accepted = client.status() < 300
            code = client.read_until_closed() if accepted else None
        except OSError:
            code = None
        client.close()
        ends.append((server.end(key), client.answer, code))
        server.expect_complaints()
    assert ends[0] == ends[1]


# A client that stays notices nothing


def test_a_client_that_stays_is_served(server: RunningServer) -> None:
    key, client = open_and_work(server, "guarded", "catches_up")
    client.send("one")
    server.watching_has_begun()
    client.send("two")
    server.open_gate(key)
    server.wait(key, "got two")
    client.send("three")
    server.wait(key, "got three")
    client.leave("close")
    story = server.end(key)
    assert [each for each in story if each.startswith("got")] == ["got one", "got two", "got three"]
    assert story[-2:] == ["finished", "returned"]


def test_what_is_pushed_arrives_though_the_client_is_watched(server: RunningServer) -> None:
    key, client = open_and_work(server, "guarded", "waits")
    server.watching_has_begun()
    server.open_gate(key)
    assert client.receive() == "news"
    assert server.end(key)[-2:] == ["finished", "returned"]
    assert not server.story(f"{key}-report")
    if not facts_of(server).survives_reply:
        server.expect_complaints()


def test_a_cancelled_receive_loses_nothing(server: RunningServer) -> None:
    key, client = open_and_work(server, "guarded", "hesitates")
    client.send("one")
    server.watching_has_begun()
    client.send("two")
    server.open_gate(key)
    assert server.end(key)[-3:] == ["got one", "got two", "returned"]
    if not facts_of(server).survives_reply:
        server.expect_complaints()


def test_nothing_is_read_before_the_app_has_read_that_the_client_connects(
    server: RunningServer,
) -> None:
    key, client = open_and_work(server, "guarded", "hesitates_to_accept", accepted=False)
    server.watching_has_begun()
    server.open_gate(key)
    assert client.receive() == "news"
    assert server.end(key)[-2:] == ["finished", "returned"]
    if not facts_of(server).survives_reply:
        server.expect_complaints()


# Who has not asked for it


@pytest.mark.parametrize("mode", ["unasked", "unchosen"])
def test_without_being_asked_for_nothing_is_cancelled(server: RunningServer, mode: str) -> None:
    key, client = open_and_work(server, mode, "works")
    client.leave("close")
    server.watching_has_begun()
    server.open_gate(key)
    assert server.end(key) == ["called", "working", "cleaned up 1", "finished", "returned"]
    assert not server.story(f"{key}-report")

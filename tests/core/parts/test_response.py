"""The response's states (contract §3), walked exhaustively."""

import itertools

import pytest

from asgi_disconnect._exchange.response import TABLE, Response, advance

MESSAGES = {
    "start": {"type": "http.response.start", "status": 200},
    "start+trailers": {"type": "http.response.start", "status": 200, "trailers": True},
    "body": {"type": "http.response.body", "body": b"x"},
    "body+more": {"type": "http.response.body", "body": b"x", "more_body": True},
    "zerocopy": {"type": "http.response.zerocopysend", "file": 3},
    "zerocopy+more": {"type": "http.response.zerocopysend", "file": 3, "more_body": True},
    "path": {"type": "http.response.pathsend", "path": "/x"},
    "trailers": {"type": "http.response.trailers", "headers": []},
    "trailers+more": {"type": "http.response.trailers", "headers": [], "more_trailers": True},
    "push": {"type": "http.response.push", "path": "/x", "headers": []},
    "early hint": {"type": "http.response.early_hint", "links": []},
    "debug": {"type": "http.response.debug", "info": {}},
    "unknown": {"type": "http.response.of_tomorrow", "more_body": False},
    "no type": {"more_body": False},
}


def complete(names: tuple[str, ...]) -> bool:
    """The rules in prose, in another form than the table: is the response complete?"""
    started = announced = body_ended = trailers_ended = False
    for name in names:
        if name.startswith("start"):
            if not started:
                started, announced = True, name == "start+trailers"
        elif name in ("body", "zerocopy", "path"):
            body_ended = body_ended or started
        elif name == "trailers" and body_ended:
            trailers_ended = True
    return body_ended and (trailers_ended or not announced)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_complete_after_the_last_message_and_not_before(length: int) -> None:
    for names in itertools.product(MESSAGES, repeat=length):
        state = Response.NOT_STARTED
        for name in names:
            state = advance(state, MESSAGES[name])
        assert (state is Response.COMPLETE) == complete(names), names


def test_a_response_never_goes_back() -> None:
    for state in Response:
        for message in MESSAGES.values():
            assert advance(state, message) >= state


def test_every_state_is_in_the_table_and_reached() -> None:
    reached = {Response.NOT_STARTED}
    for _ in Response:
        reached |= {advance(s, m) for s in reached for m in MESSAGES.values()}
    assert reached == set(Response) == set(TABLE)


@pytest.mark.parametrize("name", ["push", "early hint", "debug", "unknown", "no type"])
def test_what_is_not_part_of_the_response_changes_nothing(name: str) -> None:
    for state in Response:
        assert advance(state, MESSAGES[name]) is state

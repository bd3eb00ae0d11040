"""Tracks where a response stands, by the messages that the app sends.  No I/O.

Contract §3.  ``TABLE`` is the whole of it: for each state and message type, it names a flag of the
message, the next state if that flag is false or missing, and the next state if it is true.
Anything else (`http.response.push`, `early_hint`, `debug`, future types) changes nothing.  The
types and flags are those of the ASGI HTTP specification 2.5, "Response Start", "Response Body", and
of its extensions "Zero Copy Send", "Path Send" and "HTTP Trailers".
"""

import enum
from collections.abc import Mapping
from typing import Any, Final, TypeVar


class Response(enum.IntEnum):
    """A response's states, in order."""

    NOT_STARTED = 0
    STARTED = 1
    STARTED_WITH_TRAILERS = 2
    """Started, and trailers were announced: the last piece of the body is not the end."""
    TRAILERS_DUE = 3
    COMPLETE = 4


State = TypeVar("State", bound=enum.IntEnum)
Table = dict[State, dict[str, tuple[str, State, State]]]
"""state: {message type: (flag, next state without the flag, next state with it)}"""

NOT_STARTED: Final = Response.NOT_STARTED
COMPLETE: Final = Response.COMPLETE

TABLE: Final[Table[Response]] = {
    Response.NOT_STARTED: {
        "http.response.start": ("trailers", Response.STARTED, Response.STARTED_WITH_TRAILERS),
    },
    Response.STARTED: {
        "http.response.body": ("more_body", Response.COMPLETE, Response.STARTED),
        "http.response.zerocopysend": ("more_body", Response.COMPLETE, Response.STARTED),
        "http.response.pathsend": ("", Response.COMPLETE, Response.COMPLETE),
    },
    Response.STARTED_WITH_TRAILERS: {
        "http.response.body": (
            "more_body",
            Response.TRAILERS_DUE,
            Response.STARTED_WITH_TRAILERS,
        ),
        "http.response.zerocopysend": (
            "more_body",
            Response.TRAILERS_DUE,
            Response.STARTED_WITH_TRAILERS,
        ),
        "http.response.pathsend": ("", Response.TRAILERS_DUE, Response.TRAILERS_DUE),
    },
    Response.TRAILERS_DUE: {
        "http.response.trailers": ("more_trailers", Response.COMPLETE, Response.TRAILERS_DUE),
    },
    Response.COMPLETE: {},
}


def next_state(table: Table[State], state: State, message: Mapping[str, Any]) -> State:
    """The state after `message`, which the app is about to send in `state`."""
    step = table[state].get(message.get("type", ""))
    if step is None:
        return state
    flag, without, with_flag = step
    return with_flag if message.get(flag) else without


def advance(state: Response, message: Mapping[str, Any]) -> Response:
    """The same for a response."""
    return next_state(TABLE, state, message)

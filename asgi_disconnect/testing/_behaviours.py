"""What each server does around a disconnect, as far as an app can tell.

Measured on uvicorn 0.54, hypercorn 0.18, daphne 4.2.3, granian 2.8.7 and gunicorn 27.0.1, each
started without options.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

ServerName = Literal["uvicorn", "hypercorn", "hypercorn-h2", "daphne", "granian", "gunicorn"]
"""The servers that an exchange can be played as; ``hypercorn-h2`` is hypercorn over HTTP/2."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One server.  Since 0.1."""

    name: ServerName
    repeats_disconnect: bool
    """`receive()` says "disconnect" at every call, instead of once."""
    drops_unread_body: bool = False
    """What the app has not read of the body is lost when the client leaves."""
    whole_body: bool = False
    """The app is called when the body is complete, and never if the client leaves before that."""
    ends_body_apart: bool = False
    """The end of the body is an empty message of its own."""
    piece: int
    """The most bytes of body that one message holds."""
    loses_cancelled_receive: bool = False
    """A `receive()` that is cancelled before the body is complete loses the next message."""
    tells_of_completion: bool = True
    """`receive()` says "disconnect" when the response is complete, though the client is there."""
    send_waits_when_gone: bool = False
    """`send()` to a client that has left waits for ever."""
    send_buffer: int | None = None
    """Bytes that `send()` takes for a client that does not read, before it waits."""
    cancels_after: float | None = None
    """Seconds from the disconnect or the end of the response until the server cancels the app."""
    http_version: str = "1.1"
    spec_version: str | None = "2.3"
    extensions: tuple[str, ...] | None = None
    """`scope["extensions"]`; None if the key is missing."""
    state: bool = True
    """Whether there is `scope["state"]`."""
    client_port: Any = 50000


BEHAVIOURS: Final[dict[str, Behaviour]] = {
    behaviour.name: behaviour
    for behaviour in (
        Behaviour(
            name="uvicorn",
            repeats_disconnect=True,
            drops_unread_body=True,
            piece=262144,
            send_buffer=2_900_000,
        ),
        Behaviour(
            name="hypercorn",
            repeats_disconnect=False,
            ends_body_apart=True,
            piece=65536,
            send_buffer=2_900_000,
            spec_version="2.1",
            extensions=(),
        ),
        Behaviour(
            name="hypercorn-h2",
            repeats_disconnect=False,
            ends_body_apart=True,
            piece=16384,
            send_waits_when_gone=True,
            http_version="2",
            spec_version="2.1",
            extensions=(
                "http.response.early_hint",
                "http.response.push",
                "http.response.trailers",
            ),
        ),
        Behaviour(
            name="daphne",
            repeats_disconnect=False,
            whole_body=True,
            piece=8192,
            cancels_after=10.0,
            spec_version=None,
            state=False,
        ),
        Behaviour(
            name="granian",
            repeats_disconnect=True,
            ends_body_apart=True,
            piece=417792,
            loses_cancelled_receive=True,
            send_buffer=3_500_000,
            extensions=("http.response.pathsend", "websocket.http.response"),
            client_port="50000",
        ),
        Behaviour(
            name="gunicorn",
            repeats_disconnect=True,
            drops_unread_body=True,
            piece=256000,
            tells_of_completion=False,
            send_buffer=3_900_000,
            cancels_after=3.0,
            spec_version="2.4",
        ),
    )
}


def behaviour_of(server: str) -> Behaviour:
    """The behaviour of the server of that name; raises `ValueError` if we know none."""
    try:
        return BEHAVIOURS[server]
    except KeyError:
        raise ValueError(f"server must be one of {', '.join(BEHAVIOURS)}, not {server!r}") from None

"""Tracks where a WebSocket connection stands, by the messages that the app sends.  No I/O.

Contract §9.  ``TABLE`` has the form of `response`'s.  The types are those of the ASGI WebSocket
specification 2.5, "Accept", "Close", and of its extension "WebSocket Denial Response".
"""

import enum
from typing import Final

from .response import Table


class Connection(enum.IntEnum):
    """A connection's states, in order."""

    CONNECTING = 0
    ACCEPTED = 1
    DENYING = 2
    """The app answers the handshake with an HTTP response of its own."""
    CLOSED = 3
    """The app has closed the connection, or denied it: nothing is cancelled any more."""


CONNECTING: Final = Connection.CONNECTING
CLOSED: Final = Connection.CLOSED

TABLE: Final[Table[Connection]] = {
    Connection.CONNECTING: {
        "websocket.accept": ("", Connection.ACCEPTED, Connection.ACCEPTED),
        "websocket.close": ("", Connection.CLOSED, Connection.CLOSED),
        "websocket.http.response.start": ("", Connection.DENYING, Connection.DENYING),
    },
    Connection.ACCEPTED: {
        "websocket.close": ("", Connection.CLOSED, Connection.CLOSED),
    },
    Connection.DENYING: {
        "websocket.http.response.body": ("more_body", Connection.CLOSED, Connection.DENYING),
    },
    Connection.CLOSED: {},
}

"""What each server does around a WebSocket's disconnect, as far as an app can tell.

Measured on uvicorn 0.54 (with `websockets` 17), hypercorn 0.18, daphne 4.2.3, granian 2.8.9 and
gunicorn 27.0.1, each started without options.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from ._behaviours import ServerName


@dataclass(frozen=True, kw_only=True)
class WebSocketBehaviour:
    """One server.  Since 0.2."""

    name: ServerName
    close_code: int | None = None
    """The code that it gives for any close frame; None if it is the client's own."""
    gives_reason: bool = False
    """It passes on the reason that the client gives."""
    lost_code: int = 1006
    """The code that it gives for a lost connection."""
    times_told_of_close: float = 1
    """How often `receive()` says "disconnect" after a close frame; `math.inf`: always."""
    times_told_of_loss: float = 1
    """The same after the connection was lost."""
    tells_in_handshake: bool = True
    """It reports a client that leaves before the app has accepted."""
    own_close_code: int | None = None
    """The code that it gives once the app has closed; None if it is the app's own."""
    refused_code: int = 1006
    """The code that it gives once the app has refused the handshake."""
    send_raises_when_gone: bool = False
    """`send()` to a client that has left raises an `OSError`, instead of doing nothing."""
    send_after_close: type[Exception] | None = RuntimeError
    """What `send()` raises when the app has closed; None if it does nothing."""
    has_both_keys: bool = False
    """A message has the keys ``text`` and ``bytes``, one of which is None."""
    cancels_after: float | None = None
    """Seconds from the end of the connection until the server cancels the app."""
    http_version: str = "1.1"
    spec_version: str | None = "2.3"
    extensions: tuple[str, ...] | None = ("websocket.http.response",)
    """`scope["extensions"]`; None if the key is missing."""
    missing: tuple[str, ...] = ()
    """More keys that the scope lacks."""
    client_port: Any = 50000


WEBSOCKET_BEHAVIOURS: Final[dict[str, WebSocketBehaviour]] = {
    behaviour.name: behaviour
    for behaviour in (
        WebSocketBehaviour(
            name="uvicorn",
            gives_reason=True,
            lost_code=1005,
            times_told_of_close=2,
            send_raises_when_gone=True,
            spec_version="2.4",
        ),
        WebSocketBehaviour(
            name="hypercorn",
            close_code=1006,
            own_close_code=1000,
            refused_code=1000,
            has_both_keys=True,
        ),
        WebSocketBehaviour(
            name="hypercorn-h2",
            close_code=1006,
            own_close_code=1000,
            refused_code=1000,
            has_both_keys=True,
            http_version="2",
        ),
        WebSocketBehaviour(
            name="daphne",
            cancels_after=10.0,
            spec_version=None,
            extensions=None,
            missing=("http_version", "scheme", "state"),
        ),
        WebSocketBehaviour(
            name="granian",
            lost_code=1005,
            times_told_of_close=math.inf,
            times_told_of_loss=math.inf,
            tells_in_handshake=False,
            own_close_code=1005,
            refused_code=1005,
            send_after_close=None,
            extensions=("http.response.pathsend", "websocket.http.response"),
            client_port="50000",
        ),
        WebSocketBehaviour(
            name="gunicorn",
            send_raises_when_gone=True,
            send_after_close=OSError,
            cancels_after=3.0,
            spec_version="2.4",
            extensions=None,
        ),
    )
}

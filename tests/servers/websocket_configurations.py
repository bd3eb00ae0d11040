"""The servers of `configurations` with WebSockets: what each is known to do and not to do then.

The facts are asserted by `test_websocket_facts.py` on bare handlers; the tests of guarded ones take
from here what cannot be promised (contract §8).
"""

from dataclasses import dataclass
from typing import Any

from .configurations import APP, CONFIGURATIONS, Configuration

HANDLERS = "sockets:application"


@dataclass(frozen=True, kw_only=True)
class WebSocketConfiguration(Configuration):
    """One server, with one implementation of WebSockets."""

    close_code: int = 4001
    """The code that the app is told when the client closes with 4001."""
    lost_code: int = 1006
    """The code that it is told when the client goes without a close frame."""
    after_close: str = "in vain"
    """What a second `receive()` gives after the client's close: "told", or it asks "in vain"."""
    after_loss: str = "in vain"
    """The same after the client went without a close frame."""
    push_to_gone: str = "nothing"
    """What `send` does for a client that has gone, when the app has not been told: "nothing", or
    it raises "OSError"."""
    push_in_between: str = ""
    """What it may raise instead in the moment before the server has noticed, which no middleware
    can tell from an error of the app's."""
    send_when_told: str = "nothing"
    """The same when the app has been told; it may raise "RuntimeError" then."""
    woken: int = 1
    """How many of two `receive()` calls at once a lost connection wakes; 0: the second raises."""
    tells_of_own_close: str = "told 4000"
    """What `receive()` gives when the app has closed with 4000, and the client has replied."""
    send_after_close: str = "RuntimeError"
    """What `send` raises when the app has closed; "nothing" if it does not."""
    replies_unasked: bool = True
    """It answers the client's close frame though the app does not receive."""
    denies: bool = True
    """It knows `websocket.http.response.start`."""
    refuses_at_once: bool = True
    """A close instead of an accept reaches the client before the app has ended."""
    nonsense: int = 500
    """The status for an app that sends an unknown message instead of an accept; 0: none comes."""
    code_of_return: int | None = None
    """The close code for an app that returns; None: the connection ends without one."""
    ends_with_app: bool = True
    """The WebSocket of an app that returns ends."""
    tells_in_handshake: bool = True
    """It reports a client that leaves before it is accepted."""
    survives_reply: bool = True
    """A client that replies to the app's close frame, as it must, does no harm."""
    shutdown_code: int | None = None
    """With what code it tells apps at SIGTERM that the client has left; None: it does not."""
    holds_back: bool = True
    """A client that floods an app that never reads is held back by flow control."""
    websocket_spec_version: str | None = "2.3"
    websocket_extensions: tuple[str, ...] | None = ("websocket.http.response",)
    deaf_to: tuple[str, ...] = ()
    """Ways to leave that it does not report."""

    @property
    def ways(self) -> tuple[str, ...]:
        """In what ways a client can leave it, so that it says so."""
        return tuple(way for way in self.all_ways if way not in self.deaf_to)

    @property
    def all_ways(self) -> tuple[str, ...]:
        own = ("rst-stream", "end-stream") if self.http2 else ("half-close",)
        return ("close", "fin", "rst", *own)

    def code(self, way: str) -> int:
        """The code that the app is told when a client leaves in this way."""
        return self.close_code if way == "close" else self.lost_code


def _with_websockets(
    server: str, *options: str, name: str = "", needs: tuple[str, ...] = (), **facts: Any
) -> WebSocketConfiguration:
    (base,) = (each for each in CONFIGURATIONS if each.name == server)
    command = (HANDLERS if part == APP else part for part in base.command)
    fields = {
        **vars(base),
        "name": f"{name or server}-ws",
        "needs": (*base.needs, "websockets", *needs),
        "command": (*command, *options),
    }
    return WebSocketConfiguration(**{**fields, **facts})


_UVICORN: dict[str, Any] = {
    "push_to_gone": "OSError",
    "send_when_told": "OSError",
    "shutdown_code": 1012,
    "websocket_spec_version": "2.4",
}
_HYPERCORN: dict[str, Any] = {
    "close_code": 1006,
    "tells_of_own_close": "told 1000",
    "code_of_return": 1011,
}

WEBSOCKET_CONFIGURATIONS = (
    _with_websockets(
        "uvicorn-httptools",
        *("--ws", "websockets"),
        name="uvicorn-websockets",
        **{**_UVICORN, "send_when_told": "RuntimeError"},
        after_close="told",
        after_loss="told",
        woken=0,
        tells_of_own_close="told 1005",
    ),
    _with_websockets(
        "uvicorn-httptools",
        *("--ws", "websockets-sansio"),
        name="uvicorn-sansio",
        **_UVICORN,
        lost_code=1005,
        after_close="told",
    ),
    _with_websockets(
        "uvicorn-uvloop",
        *("--ws", "wsproto"),
        name="uvicorn-wsproto",
        needs=("wsproto",),
        **_UVICORN,
        lost_code=1005,
        after_close="told",
    ),
    _with_websockets("hypercorn-asyncio", **_HYPERCORN),
    _with_websockets(
        "hypercorn-asyncio",
        *("--worker-class", "uvloop"),
        name="hypercorn-uvloop",
        needs=("uvloop",),
        **_HYPERCORN,
    ),
    _with_websockets("hypercorn-trio", **_HYPERCORN),
    _with_websockets("hypercorn-h2c", **_HYPERCORN, deaf_to=("end-stream",), survives_reply=False),
    _with_websockets(
        "daphne",
        push_in_between="Disconnected",
        send_after_close="Disconnected",
        denies=False,
        nonsense=0,
        ends_with_app=False,
        holds_back=False,
        websocket_spec_version=None,
        websocket_extensions=None,
    ),
    _with_websockets(
        "granian",
        lost_code=1005,
        after_close="told",
        after_loss="told",
        woken=2,
        tells_of_own_close="told 1005",
        send_after_close="nothing",
        replies_unasked=False,
        denies=False,
        refuses_at_once=False,
        nonsense=403,
        code_of_return=1005,
        tells_in_handshake=False,
        websocket_extensions=("http.response.pathsend", "websocket.http.response"),
    ),
    _with_websockets(
        "gunicorn",
        push_to_gone="OSError",
        push_in_between="RuntimeError",
        send_when_told="OSError",
        send_after_close="OSError",
        denies=False,
        nonsense=403,
        code_of_return=1011,
        websocket_spec_version="2.4",
        websocket_extensions=None,
    ),
)

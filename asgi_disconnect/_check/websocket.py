"""The WebSocket to check the app with, and whether the answer shows anything."""

import importlib.metadata
import urllib.parse
from dataclasses import dataclass
from typing import Final

from .request import CannotAsk, Stay, phrase_of, quoted

ACCEPTED: Final = 101
OLDEST: Final = 15
"""The first release of `websockets` that is new enough."""


@dataclass(frozen=True)
class WebSocket:
    """The WebSocket that the app is checked with."""

    path: str
    headers: tuple[str, ...] = ()
    frames: tuple[bytes, ...] = ()
    """Sent as text if they are UTF-8."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"WebSocket {self.path}"

    def address(self, port: int) -> str:
        """Its URL."""
        return f"ws://127.0.0.1:{port}{quoted(self.path)}"

    def values(self, name: str) -> list[str]:
        """The values of the headers of this name."""
        split = [header.partition(":") for header in self.headers]
        return [value.strip() for found, _, value in split if found.strip().lower() == name]


def library_is_there() -> bool:
    """Whether the library behind the client is installed, and new enough."""
    try:
        version = importlib.metadata.version("websockets")
    except importlib.metadata.PackageNotFoundError:
        return False
    return int(version.partition(".")[0]) >= OLDEST


def require_open(request: WebSocket, stay: Stay, patience: float) -> None:
    """Raise `CannotAsk` if the WebSocket was not accepted, or was over at once."""
    if stay.status is None:
        raise CannotAsk(f"{request.name} is neither accepted nor denied within {patience:g} s.")
    if stay.status != ACCEPTED:
        body = f" It says: {stay.body[:200]}" if stay.body else ""
        raise CannotAsk(
            f"{request.name} answers {stay.status} {phrase_of(stay.status)}: it is not accepted."
            f"{body}{_advice(request, stay)}"
        )
    if stay.streams:
        return
    ended = f"within {((stay.complete or 0.0) - (stay.started or 0.0)) * 1000:.0f} ms"
    raise CannotAsk(
        f"{request.name} is over {ended}{_came(stay)}: there is nothing to abandon. Does the app"
        " wait for a message (--data '...'), or for a subprotocol (--header"
        " 'Sec-WebSocket-Protocol: ...')?"
    )


def _came(stay: Stay) -> str:
    said = stay.body
    return f", with {said[:200]}" if said else ""


def _advice(request: WebSocket, stay: Stay) -> str:
    where = urllib.parse.urlsplit(stay.header("location"))
    status = stay.status or 0
    if 300 <= status < 400 and where.path:
        return f" It redirects to {where.geturl()}: --websocket {where.path}"
    if status in (400, 421) and "host" in stay.body.lower():
        return " Give it a Host that it serves: --header 'Host: example.org'."
    if status in (401, 403):
        return (
            " Is the path right? If so, say who you are: --header 'Authorization: ...', 'Cookie:"
            " ...' or 'Origin: ...'."
        )
    if status in (404, 426) or status >= 500:
        return " Is the path right, and does the app serve WebSockets there?"
    return ""

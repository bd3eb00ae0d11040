"""The client for tests that are not async: the exchange runs in another thread's event loop."""

from typing import Any, Generic, Protocol, TypeVar

from .._types import Message
from ._client import Client
from ._result import Result, WebSocketResult
from ._waiting import Signal, Waiting
from ._websocket_client import WebSocketClient

ClientT = TypeVar("ClientT", bound=Waiting[Any])


class Portal(Protocol):
    """Calls functions in the exchange's event loop (anyio's `BlockingPortal`)."""

    def call(self, func: Any, /, *args: Any) -> Any:
        """Call `func` there and return what it returns."""


class Blocking(Generic[ClientT]):
    """What both kinds of client have in common."""

    def __init__(self, client: ClientT, portal: Portal) -> None:
        self._client = client
        self._call = portal.call

    def until(self, signal: Signal) -> None:
        """Return when the app gives the test's own signal: an event, `threading.Event` too."""
        self._call(self._client.until, signal)

    def until_working(self) -> None:
        """Return when the app, and whatever else runs in its event loop, waits for something."""
        self._call(self._client.until_working)

    def until_receiving(self) -> None:
        """Return when the app waits in `receive()` and has got everything that was sent to it."""
        self._call(self._client.until_receiving)


class BlockingClient(Blocking[Client]):
    """The client of an exchange under test; `exchange()` makes it.

    Each method does what `Client`'s method of the same name does.

    Since 0.1.
    """

    def send(self, body: bytes, *, more_body: bool = True) -> None:
        """Send the next piece of the request's body."""
        self._call(lambda: self._client.send(body, more_body=more_body))

    def disconnect(self) -> None:
        """Leave: close the connection."""
        self._call(self._client.disconnect)

    def pass_deadline(self) -> None:
        """Let the deadline of the exchange pass, now and without leaving.  Since 0.2."""
        self._call(self._client.pass_deadline)

    def fail_send(self, error: OSError | None = None) -> None:
        """Leave, so that the app's next `send()` raises `error`."""
        self._call(self._client.fail_send, error)

    def stop_reading(self) -> None:
        """Stay, but take nothing more: `send()` waits when the server's buffers are full."""
        self._call(self._client.stop_reading)

    def resume_reading(self) -> None:
        """Take what is sent again."""
        self._call(self._client.resume_reading)

    def until_received(self, count: int) -> None:
        """Return when the app has got `count` bytes of the request's body."""
        self._call(self._client.until_received, count)

    def until_responding(self) -> None:
        """Return when the app has started its response."""
        self._call(self._client.until_responding)

    def until_sent(self, count: int) -> None:
        """Return when the app has sent `count` bytes of the response's body."""
        self._call(self._client.until_sent, count)

    def result(self) -> Result:
        """What became of the app, once it has ended."""
        result: Result = self._call(self._client.result)
        return result

    @property
    def status(self) -> int | None:
        """The response's status, if it has started."""
        return self._client.status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The response's headers, whose names should be in lower case."""
        return self._client.headers

    @property
    def body(self) -> bytes:
        """The part of the response's body that the client has got."""
        return self._client.body

    @property
    def messages(self) -> list[Message]:
        """What the app has sent to the client, message by message."""
        return self._client.messages


class BlockingWebSocketClient(Blocking[WebSocketClient]):
    """The client of a WebSocket under test; `websocket_exchange()` makes it.

    Each method does what `WebSocketClient`'s method of the same name does.  Since 0.2.
    """

    def send(self, data: str | bytes) -> None:
        """Send a message: text or bytes."""
        self._call(self._client.send, data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Leave: close the connection with a close frame, or give up the handshake."""
        self._call(self._client.close, code, reason)

    def reset(self) -> None:
        """Leave without a word, as when the network fails or a process is killed."""
        self._call(self._client.reset)

    def until_accepted(self) -> None:
        """Return when the app has accepted the connection."""
        self._call(self._client.until_accepted)

    def receive(self) -> str | bytes:
        """Wait for the app's next message and return it."""
        message: str | bytes = self._call(self._client.receive)
        return message

    def result(self) -> WebSocketResult:
        """What became of the app, once it has ended."""
        result: WebSocketResult = self._call(self._client.result)
        return result

    @property
    def accepted(self) -> bool:
        """Whether the app has accepted the connection."""
        return self._client.accepted

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the app has chosen."""
        return self._client.subprotocol

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that the app has accepted with."""
        return self._client.headers

    @property
    def sent(self) -> list[str | bytes]:
        """What the app has sent to the client."""
        return self._client.sent

    @property
    def messages(self) -> list[Message]:
        """What the app has sent to the server, message by message."""
        return self._client.messages

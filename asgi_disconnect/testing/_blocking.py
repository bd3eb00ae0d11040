"""The client for tests that are not async: the exchange runs in another thread's event loop."""

from typing import Any, Generic, Protocol, TypeVar

from .._types import Message
from ._client import Client
from ._result import Result
from ._waiting import Signal, Waiting

ClientT = TypeVar("ClientT", bound=Waiting[Any])


class Portal(Protocol):
    """What calls a function in the exchange's event loop (anyio's `BlockingPortal`)."""

    def call(self, func: Any, /, *args: Any) -> Any:
        """Call `func` there and return what it returns."""


class Blocking(Generic[ClientT]):
    """What the clients of both kinds have in common."""

    def __init__(self, client: ClientT, portal: Portal) -> None:
        self._client = client
        self._call = portal.call

    def until(self, signal: Signal) -> None:
        """Return when the app gives a signal of the test's own: an event, `threading.Event` too."""
        self._call(self._client.until, signal)

    def until_working(self) -> None:
        """Return when the app, and whatever else runs in its event loop, waits for something."""
        self._call(self._client.until_working)

    def until_receiving(self) -> None:
        """Return when the app waits in `receive()`, having got everything that was sent to it."""
        self._call(self._client.until_receiving)


class BlockingClient(Blocking[Client]):
    """The client of an exchange under test; `exchange()` makes it.

    Each method does what `Client`'s of the same name does.
    """

    def send(self, body: bytes, *, more_body: bool = True) -> None:
        """Send the next piece of the request's body."""
        self._call(lambda: self._client.send(body, more_body=more_body))

    def disconnect(self) -> None:
        """Leave: close the connection."""
        self._call(self._client.disconnect)

    def pass_deadline(self) -> None:
        """Let the deadline of the exchange pass, now and without leaving."""
        self._call(self._client.pass_deadline)

    def fail_send(self, error: OSError | None = None) -> None:
        """Leave in such a way that the app's next `send()` raises `error`."""
        self._call(self._client.fail_send, error)

    def stop_reading(self) -> None:
        """Stay, and take nothing more: `send()` waits when the server's buffers are full."""
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
        """The response's headers, in lower case as they should be."""
        return self._client.headers

    @property
    def body(self) -> bytes:
        """What it has got of the response's body."""
        return self._client.body

    @property
    def messages(self) -> list[Message]:
        """What the app has sent to it, message by message."""
        return self._client.messages

"""What an exchange knows of its watcher: a protocol, because `watcher` imports `exchange`."""

from typing import Protocol, TypeVar

from .._guards.protocol import Guard
from .._types import Message

Exchange = TypeVar("Exchange", contravariant=True)


class ReadAhead(Protocol[Exchange]):
    """A `Watcher`, which reads ahead of the app.  It holds no reference to its exchange."""

    @property
    def waiting(self) -> int:
        """How many calls of the app's `receive()` wait."""
        ...

    async def receive(self, exchange: Exchange) -> Message | None:
        """The app's next message; None if the app has to read it from the server itself."""

    async def watch(self, exchange: Exchange) -> None:
        """Read ahead of the app until the client has left."""

    async def wait_for_news(self) -> None:
        """Return when there may be something new to read."""

    def wake_waiters(self) -> None:
        """Make every waiting call look again."""

    def close(self, guard: Guard) -> None:
        """The exchange is over."""

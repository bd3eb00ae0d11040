"""What an exchange has to know of its watcher, which in its turn knows the exchange."""

from typing import Protocol, TypeVar

from .._guards.protocol import Guard
from .._types import Message

Exchange = TypeVar("Exchange", contravariant=True)


class ReadAhead(Protocol[Exchange]):
    """What is read ahead of the app: a `Watcher`.  It does not refer to its exchange."""

    @property
    def waiting(self) -> int:
        """How many calls of the app's `receive()` wait."""
        ...

    async def receive(self, exchange: Exchange) -> Message | None:
        """The app's next message; None if the app has to read it from the server by itself."""

    async def watch(self, exchange: Exchange) -> None:
        """Read ahead of the app until the client has left."""

    async def wait_for_news(self) -> None:
        """Return when a message has come, or what else changes what there is to read."""

    def wake_waiters(self) -> None:
        """Have all who wait look again."""

    def close(self, guard: Guard) -> None:
        """The exchange is over."""

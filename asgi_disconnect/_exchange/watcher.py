"""Reads the server's `receive` ahead of the app, to notice when the client leaves.

Contract §2.  A watcher is made when watching begins, or when one call of the app's `receive()` has
to wait for another.  It buffers what it reads until the app's `receive()` takes it.  `reader`
tracks who reads, the watcher or the app itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint

from .._guards.protocol import Guard
from .._types import Message
from .exchange import Exchange
from .limits import Refused
from .reader import BETWEEN, FAILED, HELD, IDLE, TABLE, WATCHER, WATCHER_READS, Event, Reader


class Unread(Protocol):
    """What the app has not taken yet: first in, first out."""

    def __bool__(self) -> bool: ...

    def pop(self) -> Message | None:
        """Take the oldest message; None if it has to be loaded first."""


class Watcher(ABC):
    """Reads ahead for one exchange."""

    __slots__ = ("_failure", "_news", "unread", "waiting")

    def __init__(self) -> None:
        self._failure: BaseException | None = None
        self._news: anyio.Event | None = None
        self.unread: Unread | list[Message] | None = None
        self.waiting: int = 0
        """How many calls of the app's `receive()` wait."""

    async def receive(self, exchange: Exchange) -> Message | None:
        """The app's next message; None if the app has to read it from the server itself."""
        while True:
            if self.unread:
                message = self.unread.pop()
                if message is not None:
                    return message
                self.waiting += 1
                try:
                    await self.load(exchange)
                finally:
                    self.waiting -= 1
                continue
            reader = exchange.reader
            if reader is IDLE or reader is BETWEEN or reader is HELD:
                if not exchange.must_be_watched():
                    return None
                exchange.start_watching()  # which may read at once
                continue
            elif exchange.disconnect is not None:
                # No checkpoint: code that polls inside a cancelled scope must see it.
                if exchange.departure_so_far is not None:
                    exchange.departure_so_far.tell()
                return exchange.disconnect
            elif reader is FAILED:
                assert self._failure is not None
                raise self._failure
            # The watcher, or another of the app's calls, is reading: wait for it.
            self.waiting += 1
            try:
                await self.wait_for_news()
            finally:
                self.waiting -= 1

    async def watch(self, exchange: Exchange) -> None:
        """Read ahead of the app until the client has left.

        One coroutine, which makes nothing until there is something to keep: ten thousand exchanges
        may be in here at once.
        """
        premature = False
        try:
            while exchange.reader is WATCHER:
                message = await self.next_message(exchange)
                if message.get("type") == exchange.disconnect_type:
                    premature = exchange.latch(message, "disconnect")
                    break
                if exchange.disconnect is not None:  # it came during this call
                    continue
                app_lags = bool(self.unread)
                if not self.keep(message, exchange):
                    await self.make_room(message, exchange)
                if exchange.request_complete:
                    # Only the disconnect can come now.  A test double that answers every call at
                    # once must not be read for ever.
                    exchange.reader = TABLE[exchange.reader][Event.SURPLUS]
                    self.wake_waiters()
                    break  # at once: the next tick may start a watcher anew
                exchange.request_complete = is_end_of_body(message)
                self.wake_waiters()
                if app_lags:  # let it run, even if the server never waits
                    await checkpoint()
        except Refused as refused:
            premature = exchange.refuse(refused)
        except BaseException as error:
            if _is_end(error, exchange):
                if exchange.reader in WATCHER_READS:
                    exchange.end_read()
                raise
            exchange.reader = TABLE[exchange.reader][Event.FAILURE]
            if exchange.reader is FAILED:
                self._failure = error
            self.wake_waiters()
            if isinstance(error, (KeyboardInterrupt, SystemExit)):  # for the loop
                raise
        if exchange.reader is Reader.WATCHER_LATE:
            exchange.end_read()
        if premature:
            await exchange.carry_out_departure()

    def next_message(self, exchange: Exchange) -> Awaitable[Message]:
        """Read one message from the server."""
        return exchange.server_receive()

    @abstractmethod
    def keep(self, message: Message, exchange: Exchange) -> bool:
        """Keep `message` for the app; false if you must await `make_room()` for it."""

    @abstractmethod
    async def make_room(self, message: Message, exchange: Exchange) -> None:
        """Keep `message` and return when more can be read."""

    @abstractmethod
    async def load(self, exchange: Exchange) -> None:
        """Load what is unread, so that it can be taken."""

    def pause(self, exchange: Exchange) -> bool:
        """Stop reading until there is room; false if nothing is left to read anyway."""
        exchange.reader = TABLE[exchange.reader][Event.FULL]
        self.wake_waiters()
        return exchange.reader is Reader.PAUSED

    async def wait_for_news(self) -> None:
        """Return when there may be something new to read."""
        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()

    def wake_waiters(self) -> None:
        """Make every waiting call look again."""
        if self._news is not None:
            self._news.set()
            self._news = None

    def close(self, guard: Guard) -> None:
        """The exchange is over."""
        self._failure = None


def is_end_of_body(message: Message) -> bool:
    """Whether `message` is the last of a request's body."""
    return message.get("type") == "http.request" and not message.get("more_body")


def _is_end(error: BaseException, exchange: Exchange) -> bool:
    """Whether `error` says that the exchange or the loop has ended, and is not the server's."""
    if isinstance(error, Exception):
        return False
    if exchange.reader is Reader.WATCHER_ENDS or isinstance(error, GeneratorExit):
        return True
    return isinstance(error, anyio.get_cancelled_exc_class())

"""Reads a request's body ahead of the app, within its bounds (contract §2)."""

from collections.abc import Awaitable
from typing import Final

from .._buffer.body import Body
from .._buffer.pieces import size_of_body
from .._guards.protocol import Guard
from .._types import Message
from .exchange import Exchange
from .limits import check_received, lost, receive_in_time
from .reader import TABLE, WATCHER, Event
from .watcher import Watcher, is_end_of_body

_SMALL: Final = 2048


class BodyWatcher(Watcher):
    """Reads one request's body ahead, into memory and onto the disk."""

    __slots__ = ("received",)

    def __init__(self) -> None:
        super().__init__()
        self.received: int = 0
        """Bytes of the body that the watcher has read."""

    async def receive_whole(self, exchange: Exchange) -> bool:
        """Read the whole body ahead of the app, or as much as there is room for.

        False if the client left before the end.
        """
        exchange.start_watching()
        while not exchange.request_complete and exchange.reader is WATCHER:
            await self.wait_for_news()
        return exchange.request_complete or exchange.disconnect is None

    def next_message(self, exchange: Exchange) -> Awaitable[Message]:
        """Read one message from the server, within `body_timeout` if there is one."""
        if exchange.request_complete or exchange.options.body_timeout is None:
            return exchange.server_receive()
        return receive_in_time(exchange.server_receive, exchange.options)

    def keep(self, message: Message, exchange: Exchange) -> bool:
        """Keep `message` in memory; raises `Refused` if the body is too large."""
        if not exchange.request_complete and message.get("type") == "http.request":
            self.received += size_of_body(message)
            check_received(self.received, exchange.options)
        if self.unread is None and _is_all_of_a_small_body(message):
            self.unread = [message]  # seldom read, and a `Body` is four times as large
            return True
        return self._get_body(exchange).append(message)

    def _get_body(self, exchange: Exchange) -> Body:
        if isinstance(self.unread, Body):
            return self.unread
        body = Body(exchange.options.max_memory)
        if isinstance(self.unread, list):
            for message in self.unread:
                body.append(message)
        self.unread = body
        return body

    async def make_room(self, message: Message, exchange: Exchange) -> None:
        """Move `message` to the disk; if that has no room, keep it beyond the bound and wait."""
        unread = self._get_body(exchange)
        if await unread.spill(message, exchange.options.disk_quota):
            return
        # After the body, only the disconnect can come.
        if exchange.request_complete or is_end_of_body(message):
            return
        paused = self.pause(exchange)
        try:
            if paused:
                await unread.wait_for_room(message, exchange.guard.call_threadsafe)
        finally:
            exchange.reader = TABLE[exchange.reader][Event.ROOM]

    async def load(self, exchange: Exchange) -> None:
        """Load the next bytes from the disk."""
        try:
            await self._get_body(exchange).load()
        except OSError as error:
            if exchange.refuse(lost(error)):
                exchange.guard.start(exchange.carry_out_departure)

    def close(self, guard: Guard) -> None:
        """The exchange is over: delete what is on the disk."""
        super().close(guard)
        unread = self.unread
        if isinstance(unread, Body) and unread.spooled:
            started = guard.start(unread.aclose, finish=True)
            if not started:
                unread.close()


def _is_all_of_a_small_body(message: Message) -> bool:
    """Whether `message`, the first unread one, is small and ends the body."""
    return is_end_of_body(message) and size_of_body(message) <= _SMALL

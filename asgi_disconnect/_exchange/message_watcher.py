"""Reads a WebSocket's messages ahead of the app, within a bound (contract §9)."""

from .._buffer.messages import Messages
from .._types import Message
from .exchange import Exchange
from .reader import TABLE, Event
from .watcher import Watcher


class MessageWatcher(Watcher):
    """Reads one WebSocket's messages ahead, into memory."""

    __slots__ = ()

    def keep(self, message: Message, exchange: Exchange) -> bool:
        """Keep `message`; false if there is no room for another."""
        return self._get_messages(exchange).append(message)

    def _get_messages(self, exchange: Exchange) -> Messages:
        messages = self.unread
        if not isinstance(messages, Messages):
            messages = self.unread = Messages(exchange.options.max_memory)
        return messages

    async def make_room(self, message: Message, exchange: Exchange) -> None:
        """Wait until the app has read: the server's flow control holds the client."""
        messages = self._get_messages(exchange)
        paused = self.pause(exchange)
        try:
            if paused:
                await messages.wait_for_room()
        finally:
            exchange.reader = TABLE[exchange.reader][Event.ROOM]

    async def load(self, exchange: Exchange) -> None:
        """All messages are in memory already."""

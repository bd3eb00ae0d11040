"""The unread messages of one WebSocket: first in, first out, bounded in bytes (contract §9).

The app gets the server's own objects: nothing is joined, and nothing goes to the disk.  If there is
no room for more, the reader waits for the app.
"""

import sys
from typing import Any, Final

import anyio

from .._types import Message
from .pieces import OVERHEAD

_EMPTY_TEXT: Final = sys.getsizeof("")


class Messages:
    """The messages that the app has not taken yet."""

    __slots__ = ("_entries", "_has_room", "_max_memory", "memory")

    def __init__(self, max_memory: float) -> None:
        self._max_memory = max_memory
        self._entries: list[Message] = []  # a short deque is larger
        self._has_room: anyio.Event | None = None
        self.memory: int = 0
        """Bytes held, overhead included: at most `max_memory` and one message beyond."""

    def __bool__(self) -> bool:
        """Whether anything is unread."""
        return bool(self._entries)

    def append(self, message: Message) -> bool:
        """Keep `message`; false if there is no room for another."""
        self._entries.append(message)
        self.memory += _cost_of(message)
        return self.memory <= self._max_memory

    def pop(self) -> Message:
        """Take the oldest message.  Raises `IndexError` if there is none."""
        message = self._entries.pop(0)
        self.memory -= _cost_of(message)
        if self._has_room is not None and self.memory <= self._max_memory:
            self._has_room.set()
        return message

    async def wait_for_room(self) -> None:
        """Return when the app has made room for another message."""
        self._has_room = anyio.Event()
        await self._has_room.wait()
        self._has_room = None


def _cost_of(message: Message) -> int:
    """How many bytes of memory `message` takes."""
    data: Any = message.get("bytes")
    text: Any = message.get("text")
    cost = OVERHEAD
    if isinstance(data, bytes | bytearray):
        cost += len(data)
    if isinstance(text, str):
        cost += sys.getsizeof(text) - _EMPTY_TEXT
    return cost

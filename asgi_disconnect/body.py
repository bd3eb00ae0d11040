"""What has been read from the server and not yet by the app.  No I/O.

Contract §2: the app gets every message that the watcher read, in order, as the object that it was.
"""

from collections import deque

from .types import Message


class Body:
    """Messages read ahead: first in, first out, without a bound."""

    __slots__ = ("_messages",)

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()

    def __len__(self) -> int:
        """How many messages `pop()` would return now."""
        return len(self._messages)

    def append(self, message: Message) -> None:
        self._messages.append(message)

    def pop(self) -> Message:
        """The oldest message; raises `IndexError` if there is none."""
        return self._messages.popleft()

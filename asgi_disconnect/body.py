"""What has been read from the server and not yet by the app: first in, first out, bounded in bytes.

Contract §2.  Up to `max_memory` bytes are kept in memory, their overhead included; what exceeds it
goes to a spool on disk, so that reading, and with it watching, never has to stop.  The app gets the
very messages that the server gave, until there are so many that small ones are joined.

The queue has three kinds of entries: a message; a block, in which small pieces are joined; and the
number of the bytes that are in the spool.  The last message of a body stays a message of its own
when its bytes are not kept with it, so that the end comes once and last.
"""

from typing import Any, Final

import anyio

from .spool import Spool
from .types import Message

OVERHEAD: Final = 512
"""What a message costs beside its body, in bytes: a dict of three, a bytes object, the allocator's
rounding (CPython 3.11 to 3.13: 300 to 400)."""

_LEAST_MEMORY: Final = 4096
_MESSAGES_KEPT: Final = 16
_SMALL: Final = 4096
_PLAIN_KEYS: Final = frozenset({"type", "body", "more_body"})
_BYTES: Final[tuple[type, ...]] = (bytes, bytearray, memoryview)
Bytes = Any  # one of them


class _Spilled:
    """So many bytes are in the spool."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Body:
    """The unread part of one request's body."""

    __slots__ = ("_block_size", "_entries", "_lock", "_room", "_spool", "memory")

    def __init__(self, max_memory: float) -> None:
        max_memory = max(max_memory, _LEAST_MEMORY)
        self._block_size = int(min(65536, max_memory // 4))
        # Room for a block is always free at either end: for what is on its way to the disk, since
        # writing single bytes there would cost a thread's work each, and for what comes from it.
        self._room = max_memory - 2 * (self._block_size + OVERHEAD) - OVERHEAD
        # A list, not a deque, which takes 760 bytes for a watched request whose body nobody reads;
        # `max_memory` keeps it short, so that taking the first is cheap.
        self._entries: list[Message | bytearray | _Spilled] = []
        self._spool: Spool | None = None
        self._lock: anyio.Lock | None = None
        self.memory: int = 0
        """Bytes that are held in memory, overhead included: never more than `max_memory`, as far
        as messages can be joined and stored."""

    def __bool__(self) -> bool:
        """Whether anything is unread."""
        return bool(self._entries)

    # In memory

    def append(self, message: Message) -> bool:
        """Keep `message`; false if there is no room, and `spill()` is to be awaited instead."""
        body = _plain_body(message)
        entries = self._entries
        if body is None:  # cannot be joined or stored: handed over as it is
            entries.append(message)
            self.memory += _cost(message)
            return True
        size = _size(body)
        if not size and not message.get("more_body"):  # room for it is free
            entries.append(message)
            self.memory += OVERHEAD
            return True
        fits = self.memory + size + OVERHEAD <= self._room
        if fits and (size > _SMALL or len(entries) < _MESSAGES_KEPT):
            entries.append(message)
            self.memory += size + OVERHEAD
            return True
        if size > self._block_size:
            return False
        block = entries[-1] if entries else None
        cost = size
        if not isinstance(block, bytearray) or len(block) + size > self._block_size:
            block = None
            cost += OVERHEAD
        if self.memory + cost > self._room + self._block_size + OVERHEAD:
            return False
        if block is None:
            block = bytearray()
            entries.append(block)
        block += body
        self.memory += cost
        if not message.get("more_body"):
            self._append_end()
        return True

    def pop(self) -> Message | None:
        """The oldest message; None if it is in the spool, and `load()` is to be awaited first.

        Raises `IndexError` if there is none.
        """
        entry = self._entries[0]
        if isinstance(entry, _Spilled):
            return None
        self._entries.pop(0)
        if isinstance(entry, bytearray):
            self.memory -= len(entry) + OVERHEAD
            return _piece(bytes(entry))
        self.memory -= _cost(entry)
        return entry

    # On disk

    async def spill(self, message: Message) -> None:
        """Move `message`, and the block before it, to the disk.

        Raises `OSError` if that cannot be done; the body is not complete any more then.
        """
        body = _plain_body(message)
        assert body is not None
        if self._lock is None:
            self._lock = anyio.Lock()
            self._spool = Spool()
        async with self._lock:  # whoever loads waits until the bytes are there
            assert self._spool is not None
            entries = self._entries
            pieces: list[Bytes] = [body]
            last = entries[-1] if entries else None
            if isinstance(last, bytearray):
                entries.pop()
                self.memory -= len(last) + OVERHEAD
                pieces.insert(0, last)
                last = entries[-1] if entries else None
            if not isinstance(last, _Spilled):
                last = _Spilled()
                entries.append(last)
            try:
                last.size += await self._spool.put(pieces)
            finally:
                if not last.size:
                    entries.pop()
            if not message.get("more_body"):
                self._append_end()

    async def load(self) -> None:
        """Bring the next bytes from the disk, if that is where they are.

        Cancelled at any point, it leaves everything in its place.  Raises `OSError` if the bytes
        cannot be read.
        """
        if self._lock is None or self._spool is None:
            return
        async with self._lock:
            entry = self._entries[0] if self._entries else None
            if not isinstance(entry, _Spilled):  # another call has done it
                return
            data = await self._spool.get(min(entry.size, self._block_size))
            entry.size -= len(data)
            if not entry.size:
                self._entries.pop(0)
            self._entries.insert(0, _piece(data))
            self.memory += len(data) + OVERHEAD

    @property
    def spooled(self) -> bool:
        """Whether there is a spool, which must be closed."""
        return self._spool is not None

    async def aclose(self) -> None:
        """Forget all that is unread, and give the disk's space back."""
        if self._lock is None or self._spool is None:
            self._entries.clear()
            return
        try:
            async with self._lock:  # a task that the app has left behind may be loading
                self._entries.clear()
                await self._spool.aclose()
        except BaseException:  # cut short
            self.close()
            raise

    def close(self) -> None:
        """Do the same where nothing can be awaited, which may block for a moment."""
        self._entries.clear()
        if self._spool is not None:
            self._spool.close()

    def _append_end(self) -> None:
        end = {"type": "http.request", "body": b"", "more_body": False}
        self._entries.append(end)
        self.memory += OVERHEAD


def size_of_body(message: Message) -> int:
    """How many bytes of the body `message` brings."""
    body: Any = message.get("body")
    return _size(body) if _is_bytes(body) else 0


def _plain_body(message: Message) -> Bytes:
    """The body of a message that brings nothing else, or None."""
    if message.get("type") != "http.request" or not message.keys() <= _PLAIN_KEYS:
        return None
    body: Any = message.get("body", b"")
    return body if _is_bytes(body) else None


def _is_bytes(value: object) -> bool:
    return isinstance(value, _BYTES)


def _size(body: Bytes) -> int:
    return body.nbytes if isinstance(body, memoryview) else len(body)


def _cost(message: Message) -> int:
    return OVERHEAD + size_of_body(message)


def _piece(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": True}

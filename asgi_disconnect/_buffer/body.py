"""Buffers what the app has not read of a body yet: first in, first out, bounded in bytes.

Contract §2.  Up to `max_memory` bytes, overhead included, stay in memory; the rest goes to a spool
on disk, so that reading, and with it watching, goes on.  If the disk has no room, one message stays
in memory beyond the bound, and the reader must wait.  The app gets the server's own message
objects, until there are so many that small ones are joined.

The queue has three kinds of entries: a message; a block, in which small pieces are joined; and a
number of bytes that are in the spool.  The end of a body stays a message of its own even if its
bytes are kept elsewhere, so that it comes once and last.
"""

from collections.abc import Callable
from typing import Any, Final

from .._types import Message
from .overflow import Overflow
from .pieces import OVERHEAD, cost_of, piece_with, plain_body_of, size_of, size_of_body
from .quota import DiskQuota

_LEAST_MEMORY: Final = 4096
_MESSAGES_KEPT: Final = 16
_SMALL: Final = 4096


class _Spilled:
    """Stands for `size` bytes that are in the spool."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Body:
    """The unread part of one request's body."""

    __slots__ = ("_block_size", "_entries", "_overflow", "_room", "memory")

    def __init__(self, max_memory: float) -> None:
        max_memory = max(max_memory, _LEAST_MEMORY)
        self._block_size = int(min(65536, max_memory // 4))
        # There is always room for a block at either end: for what comes from the disk, and for what
        # goes there, because each write costs a thread's work.
        self._room = max_memory - 2 * (self._block_size + OVERHEAD) - OVERHEAD
        # A deque would take 760 bytes even for a watched request whose body nobody reads.
        # `max_memory` keeps the list short, so taking the first is cheap.
        self._entries: list[Message | bytearray | _Spilled] = []
        self._overflow: Overflow | None = None
        self.memory: int = 0
        """Bytes held in memory, overhead included: at most `max_memory`, or one message beyond it
        where messages cannot be joined or stored."""

    def __bool__(self) -> bool:
        """Whether anything is unread."""
        return bool(self._entries)

    # In memory

    def append(self, message: Message) -> bool:
        """Keep `message`; false if there is no room, and you must await `spill()` instead."""
        body = plain_body_of(message)
        entries = self._entries
        if body is None:  # cannot be joined or stored: the app gets it as it is
            entries.append(message)
            self.memory += cost_of(message)
            return True
        size = size_of(body)
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
        """The oldest message; None if it is in the spool, and you must await `load()` first.

        Raises `IndexError` if there is none.
        """
        entry = self._entries[0]
        if isinstance(entry, _Spilled):
            return None
        self._entries.pop(0)
        if isinstance(entry, bytearray):
            self.memory -= len(entry) + OVERHEAD
            entry = piece_with(bytes(entry))
        else:
            self.memory -= cost_of(entry)
        if self._overflow is not None:
            self._wake_waiter_if_there_is_room(self._overflow)
        return entry

    # On disk

    async def spill(self, message: Message, quota: DiskQuota) -> bool:
        """Move `message`, and the block before it, to the disk.

        False if the disk has no room or fails: then `message` stays in memory, beyond `max_memory`,
        and you must await `wait_for_room()` before you read more.
        """
        if self._overflow is None:
            self._overflow = Overflow(quota)
        overflow, entries = self._overflow, self._entries
        async with overflow.lock:  # a load waits until the bytes are there
            if overflow.closed:
                return True
            pieces = [plain_body_of(message)]
            block = entries[-1] if entries else None
            if isinstance(block, bytearray):
                pieces.insert(0, block)
            if not overflow.spool.take(sum(map(size_of, pieces))):
                return self._keep_beyond_max_memory(message)
            if isinstance(block, bytearray):
                entries.pop()
                self.memory -= len(block) + OVERHEAD
            spilled = entries[-1] if entries else None
            if not isinstance(spilled, _Spilled):
                spilled = _Spilled()
                entries.append(spilled)
            overflow.disk_fails = False
            try:
                spilled.size += await overflow.spool.put(pieces)
            except OSError as error:
                quota.report_failure(error)
                overflow.disk_fails = True
            finally:
                if not spilled.size:
                    entries.pop()
            if not overflow.disk_fails:
                if not message.get("more_body"):
                    self._append_end()
                return True
            if isinstance(block, bytearray):
                entries.append(block)
                self.memory += len(block) + OVERHEAD
            return self._keep_beyond_max_memory(message)

    def _keep_beyond_max_memory(self, message: Message) -> bool:
        self._entries.append(message)
        self.memory += cost_of(message)
        return False

    async def wait_for_room(
        self, message: Message, call_threadsafe: Callable[[Any], object]
    ) -> None:
        """Return when there is room for `message`, which `spill()` left in memory.

        By then the app has read enough, or others have given back enough of the disk.
        """
        overflow = self._overflow
        assert overflow is not None
        while self.memory > self._room:
            await overflow.wait_for_room(size_of_body(message) + self._block_size, call_threadsafe)
            if self.memory > self._room:
                last = self._entries.pop()
                assert last is message  # the app reads it last
                self.memory -= cost_of(message)
                if await self.spill(message, overflow.quota):
                    return

    def _wake_waiter_if_there_is_room(self, overflow: Overflow) -> None:
        if self.memory <= self._room:
            overflow.wake_waiter()

    async def load(self) -> None:
        """Load the next bytes, if they are on the disk.

        A cancelled call leaves everything in its place.  Raises `OSError` if the bytes cannot be
        read, and discards all that is unread, for good.
        """
        overflow = self._overflow
        if overflow is None:
            return
        async with overflow.lock:
            entry = self._entries[0] if self._entries else None
            if not isinstance(entry, _Spilled):  # another call has done it
                return
            try:
                data = await overflow.spool.get(min(entry.size, self._block_size))
            except OSError:
                self._discard(overflow)
                raise
            entry.size -= len(data)
            if not entry.size:
                self._entries.pop(0)
            self._entries.insert(0, piece_with(data))
            self.memory += len(data) + OVERHEAD
            await overflow.spool.give_back()

    @property
    def spooled(self) -> bool:
        """Whether the spool has been used and must be closed."""
        return self._overflow is not None and self._overflow.spool.used

    async def aclose(self) -> None:
        """Discard what is unread, and give its disk space back."""
        if self._overflow is None:
            self._entries.clear()
            return
        try:
            # A task that the app has left behind may be loading.
            async with self._overflow.lock:
                self._discard(self._overflow)
                await self._overflow.spool.aclose()
        except BaseException:  # cut short
            self.close()
            raise

    def close(self) -> None:
        """Do the same without awaiting, which may block for a moment."""
        if self._overflow is None:
            self._entries.clear()
            return
        self._discard(self._overflow)
        self._overflow.spool.close()

    def _discard(self, overflow: Overflow) -> None:
        overflow.closed = True
        self._entries.clear()
        self.memory = 0
        self._wake_waiter_if_there_is_room(overflow)

    def _append_end(self) -> None:
        end = {"type": "http.request", "body": b"", "more_body": False}
        self._entries.append(end)
        self.memory += OVERHEAD

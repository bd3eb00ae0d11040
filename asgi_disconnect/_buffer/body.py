"""What has been read from the server and not yet by the app: first in, first out, bounded in bytes.

Contract §2.  Up to `max_memory` bytes are kept in memory, their overhead included; what exceeds it
goes to a spool on disk, so that reading, and with it watching, goes on.  Where the disk has no room
one message stays in memory beyond the bound, and the reader must wait.  The app gets the very
messages that the server gave, until there are so many that small ones are joined.

The queue has three kinds of entries: a message; a block, in which small pieces are joined; and the
number of the bytes that are in the spool.  The last message of a body stays a message of its own
when its bytes are not kept with it, so that the end comes once and last.
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
    """So many bytes are in the spool."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0


class Body:
    """The unread part of one request's body."""

    __slots__ = ("_block_size", "_entries", "_overflow", "_room", "memory")

    def __init__(self, max_memory: float) -> None:
        max_memory = max(max_memory, _LEAST_MEMORY)
        self._block_size = int(min(65536, max_memory // 4))
        # Room for a block is always free at either end: for what is on its way to the disk, since
        # writing single bytes there would cost a thread's work each, and for what comes from it.
        self._room = max_memory - 2 * (self._block_size + OVERHEAD) - OVERHEAD
        # A list, not a deque, which takes 760 bytes for a watched request whose body nobody reads;
        # `max_memory` keeps it short, so that taking the first is cheap.
        self._entries: list[Message | bytearray | _Spilled] = []
        self._overflow: Overflow | None = None
        self.memory: int = 0
        """Bytes that are held in memory, overhead included: never more than `max_memory`, as far
        as messages can be joined and stored, and one message beyond where they cannot."""

    def __bool__(self) -> bool:
        """Whether anything is unread."""
        return bool(self._entries)

    # In memory

    def append(self, message: Message) -> bool:
        """Keep `message`; false if there is no room, and you must await `spill()` instead."""
        body = plain_body_of(message)
        entries = self._entries
        if body is None:  # cannot be joined or stored: handed over as it is
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

        False if the disk has no room or fails: `message` is in memory then, beyond `max_memory`,
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
        """Return when there is room for `message`, which `spill()` has left in memory.

        The app has read so much then, or others have given back so much of the disk.
        """
        overflow = self._overflow
        assert overflow is not None
        while self.memory > self._room:
            await overflow.wait_for_room(size_of_body(message) + self._block_size, call_threadsafe)
            if self.memory > self._room:
                last = self._entries.pop()
                assert last is message  # had it been read, so had all before it
                self.memory -= cost_of(message)
                if await self.spill(message, overflow.quota):
                    return

    def _wake_waiter_if_there_is_room(self, overflow: Overflow) -> None:
        if self.memory <= self._room:
            overflow.wake_waiter()

    async def load(self) -> None:
        """Bring the next bytes from the disk, if that is where they are.

        Cancelled at any point, it leaves everything in its place.  Raises `OSError` if the bytes
        cannot be read; nothing is unread then, and nothing will be.
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
        """Whether something has been on the disk, whose spool must be closed."""
        return self._overflow is not None and self._overflow.spool.used

    async def aclose(self) -> None:
        """Forget all that is unread, and give the disk's space back."""
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
        """Do the same where nothing can be awaited, which may block for a moment."""
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

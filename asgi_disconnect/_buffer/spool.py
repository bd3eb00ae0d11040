"""A temporary file that is written at one end and read at the other, without blocking the loop.

Contract §2.  The file comes from `tempfile.TemporaryFile`: it has no name where the platform allows
that, so that nothing is left however the process ends, and only its owner can read it.  It never
grows beyond what has been taken of the quota, which is whole blocks, as on the disk.

Space is reused once everything has been read, not before: a file can only be truncated at its end.
"""

import contextlib
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import IO, Any, Final

from .._departure.threads import Threads
from .quota import DiskQuota, Waiter

_threads: Final = Threads("asgi_disconnect._buffer.spool", 8)

_BLOCK: Final = 4096
"""The bytes that most file systems hand out at a time: a file of one byte takes as many."""

_WORTH_A_THREAD: Final = 1 << 20
"""A file of at least this many bytes is truncated as soon as it has been read to its end.  A
smaller one waits for the next `put()`, which does it anyway, or for the end."""


class _Storage:
    """The file and its share of the quota, which must be given back whatever happens."""

    __slots__ = ("file", "held", "quota")

    def __init__(self, quota: DiskQuota) -> None:
        self.file: IO[bytes] | None = None
        self.quota = quota
        self.held: int = 0

    def release(self) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.close()
        self.quota.give_back(self.held)


class Spool:
    """Bytes on disk, first in, first out.  One call at a time, except `close()`."""

    __slots__ = (
        "__weakref__",
        "_closed",
        "_end",
        "_position",
        "_release",
        "_storage",
        "_working",
        "_writes",
    )

    def __init__(self, quota: DiskQuota) -> None:
        self._storage = _Storage(quota)
        # Nobody closes the spool when the loop is dropped or the coroutine closed.
        self._release = weakref.finalize(self, self._storage.release)
        self._release.atexit = False
        self._position: int = 0
        self._end: int = 0
        self._writes: int = 0
        self._closed = False
        # A cancelled call leaves its thread at work, and the file has only one position.
        self._working = threading.Lock()

    @property
    def used(self) -> bool:
        """Whether there is anything to give back."""
        return self._storage.held > 0 or self._storage.file is not None

    def take(self, size: int) -> bool:
        """Take room for a `put()` of `size` bytes; false if the quota has none."""
        missing = self._missing(size)
        if missing > 0:
            if not self._storage.quota.take(missing, self._storage.held):
                return False
            self._storage.held += missing
        return True

    def call_when_free(self, size: int, function: Callable[[], object]) -> Waiter:
        """Have `function` called, in any thread, once `take()` may succeed."""
        storage = self._storage
        return storage.quota.call_when_free(self._missing(size), storage.held, function)

    def _missing(self, size: int) -> int:
        blocks = -(-(self._end + size) // _BLOCK)
        return blocks * _BLOCK - self._storage.held

    async def put(self, pieces: Sequence[Any]) -> int:
        """Add the bytes of `pieces`, for which you took room; return how many they are.

        Raises `OSError`, and adds nothing, if there is no place, no room or no permission for a
        file.
        """
        written = await _threads.run(self._write, self._end, pieces)
        self._end += written
        return written

    async def get(self, size: int) -> bytes:
        """Take the oldest `size` bytes; a cancelled call takes none.

        Raises `OSError` if they cannot be read.
        """
        data = await _threads.run(self._read, self._position, size)
        self._position += size
        if self._position == self._end:  # read to the end: reuse the space
            self._position = self._end = 0
        return data

    async def give_back(self) -> None:
        """Give back the space of a large file that has been read to its end."""
        if not self._end and self._storage.held >= _WORTH_A_THREAD:
            held, self._storage.held = self._storage.held, 0
            await _threads.run(self._cut_off, self._writes, held)

    async def aclose(self) -> None:
        """Close the file, which removes it."""
        await _threads.run(self.close)

    def close(self) -> None:
        """Do the same without awaiting, also from a thread."""
        with self._working:
            self._closed = True
            self._release()
        self._storage.quota.wake_waiters()

    # In threads

    def _write(self, position: int, pieces: Sequence[Any]) -> int:
        with self._working:
            if self._closed:
                raise OSError("the spool is closed")
            file = self._storage.file
            if file is None:
                # Unbuffered: a buffer would keep what the disk did not take.
                file = tempfile.TemporaryFile(prefix="asgi_disconnect-", buffering=0)  # noqa: SIM115
                self._storage.file = file
            self._writes += 1
            try:
                file.seek(position)
                if position == 0:
                    file.truncate(0)
                return sum(_write_whole(file, piece) for piece in pieces)
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(position)
                raise

    def _read(self, position: int, size: int) -> bytes:
        with self._working:
            file = self._storage.file
            if file is None or self._closed:
                raise OSError("the spool is closed")
            file.seek(position)
            data = file.read(size)
            while len(data) < size and (more := file.read(size - len(data))):
                data += more
            if len(data) < size:
                raise OSError(f"the temporary file has {len(data)} of {size} bytes")
            return data

    def _cut_off(self, writes: int, held: int) -> None:
        with self._working:
            # A cancelled call may come late, when the next write has done this already.
            if self._writes == writes and not self._closed:
                assert self._storage.file is not None
                with contextlib.suppress(OSError):
                    self._storage.file.truncate(0)
        self._storage.quota.give_back(held)
        self._storage.quota.wake_waiters()


def _write_whole(file: IO[bytes], piece: Any) -> int:
    """Write all of `piece`: an unbuffered write may take only a part."""
    with memoryview(piece) as view, view.cast("B") as left:
        written = 0
        while written < len(left):
            written += file.write(left[written:])
        return written

"""A temporary file that is written at one end and read at the other, without blocking the loop.

Contract §2.  The file is `tempfile.TemporaryFile`'s: without a name from the start where the
platform allows, so that nothing is left of it however the process ends, and readable by its owner
alone.
"""

import contextlib
import tempfile
import threading
from collections.abc import Iterable
from typing import IO, Any, Final

from .threads import Threads

_threads: Final = Threads("asgi_disconnect.spool", 8)


class Spool:
    """Bytes on disk, first in, first out.  One `put()` and one `get()` at a time."""

    __slots__ = ("_closed", "_end", "_file", "_position", "_working")

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._position: int = 0
        self._end: int = 0
        self._closed = False
        # A call that is cancelled leaves its thread at work, and the file has but one position.
        self._working = threading.Lock()

    async def put(self, pieces: Iterable[Any]) -> int:
        """Add the bytes of `pieces`, and return how many they are.

        Raises `OSError` if there is no place for a file, no room in it, or no permission.
        """
        if self._position == self._end:  # read to the end: the space is used again
            self._position = self._end = 0
        written = await _threads.run(self._write, self._end, pieces)
        self._end += written
        return written

    async def get(self, size: int) -> bytes:
        """Take the oldest `size` bytes; cancelled, it takes none.

        Raises `OSError` if they cannot be read.
        """
        data = await _threads.run(self._read, self._position, size)
        if len(data) != size:
            raise OSError(f"the temporary file has {len(data)} of {size} bytes")
        self._position += size
        return data

    async def aclose(self) -> None:
        """Close the file, which removes it."""
        await _threads.run(self.close)

    def close(self) -> None:
        """Do the same where nothing can be awaited, or in a thread."""
        with self._working:
            self._closed = True
            if self._file is not None:
                # After a `put()` for which there was no room, it tries to write the rest again.
                with contextlib.suppress(OSError):
                    self._file.close()

    # In threads

    def _write(self, position: int, pieces: Iterable[Any]) -> int:
        with self._working:
            if self._closed:
                raise OSError("the spool is closed")
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="asgi_disconnect-")  # noqa: SIM115
            self._file.seek(position)
            if position == 0:
                self._file.truncate()
            self._file.writelines(pieces)
            self._file.flush()
            return self._file.tell() - position

    def _read(self, position: int, size: int) -> bytes:
        with self._working:
            if self._file is None or self._closed:
                raise OSError("the spool is closed")
            self._file.seek(position)
            return self._file.read(size)

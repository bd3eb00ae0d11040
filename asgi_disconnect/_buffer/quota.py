"""The disk space that all exchanges of one middleware share (contract §2: `max_disk`).

Exchanges may run in several event loops, and threads that work on the files give space back, so all
of this is thread-safe.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

logger: logging.Logger = logging.getLogger("asgi_disconnect")


class Waiter:
    """Woken once when there may be room, as long as its owner keeps it."""

    __slots__ = ("__weakref__", "needed", "wake")

    def __init__(self, needed: float, wake: Callable[[], object]) -> None:
        self.needed: float = needed
        self.wake: Callable[[], object] = wake


class DiskQuota:
    """The bytes of disk that exchanges take and give back.

    No exchange may hold more than it leaves free.  So one alone gets at most half, `n` that take
    all they can get an `n+1`-th each, and there is always something left for the next.
    """

    __slots__ = ("_failed", "_given_back", "_lock", "_used", "_waiting", "limit")

    def __init__(self, limit: float) -> None:
        self.limit: Final = limit
        self._used: int = 0
        # The garbage collector gives back a file that nobody closed.  It may run while this very
        # thread holds the lock, so giving back must not need the lock.
        self._given_back: deque[int] = deque()
        self._lock = threading.Lock()
        self._waiting: WeakSet[Waiter] = WeakSet()
        self._failed = False

    @property
    def used(self) -> int:
        """Bytes taken and not given back."""
        with self._lock:
            self._count_given_back()
            return self._used

    def take(self, size: int, held: int) -> bool:
        """Take `size` bytes for an exchange that holds `held`; false if there is no room."""
        with self._lock:
            self._count_given_back()
            if held + size > self.limit - self._used - size:
                return False
            self._used += size
            return True

    def give_back(self, size: int) -> None:
        """Give back bytes from `take()`, once they are free on the disk."""
        self._given_back.append(size)

    def call_when_free(self, size: int, held: int, function: Callable[[], object]) -> Waiter:
        """Have `function` called, in any thread, once `take()` may succeed."""
        waiter = Waiter(held + 2 * size, function)
        with self._lock:
            self._waiting.add(waiter)
        self.wake_waiters()
        return waiter

    def wake_waiters(self) -> None:
        """Wake those for whom there may be room now.  Do not call this from a finalizer."""
        with self._lock:
            self._count_given_back()
            free = self.limit - self._used
            told = [waiter for waiter in self._waiting if waiter.needed <= free]
            self._waiting.difference_update(told)
        for waiter in told:
            waiter.wake()

    def report_failure(self, error: OSError) -> None:
        """Log that the disk fails, once for all exchanges."""
        with self._lock:
            failed, self._failed = self._failed, True
        if not failed:
            logger.error(
                "cannot store request bodies on disk, so they are read ahead only as far as memory"
                " allows: %s",
                error,
            )

    def _count_given_back(self) -> None:
        while self._given_back:
            self._used -= self._given_back.popleft()

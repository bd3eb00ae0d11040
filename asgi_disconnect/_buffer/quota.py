"""The room on the disk that all the exchanges of one middleware share (contract §2: `max_disk`).

Exchanges may run in several event loops, and what they give back comes from the threads that work
on the files, so all of it works from any thread.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

logger: logging.Logger = logging.getLogger("asgi_disconnect")


class Waiter:
    """Is told once that there may be room, as long as its owner keeps it."""

    __slots__ = ("__weakref__", "needed", "wake")

    def __init__(self, needed: float, wake: Callable[[], object]) -> None:
        self.needed: float = needed
        self.wake: Callable[[], object] = wake


class DiskQuota:
    """So many bytes of disk, from which each exchange takes and to which it gives back.

    No exchange may hold more than it leaves free.  So a single one gets half of the disk at most,
    of `n` that take all they can each gets an `n+1`-th, and there is always something left for the
    next.
    """

    __slots__ = ("_failed", "_given_back", "_lock", "_used", "_waiting", "limit")

    def __init__(self, limit: float) -> None:
        self.limit: Final = limit
        self._used: int = 0
        # A file that nobody has closed is given back by the garbage collector, which may run
        # while this very thread holds the lock: so giving back must not need it.
        self._given_back: deque[int] = deque()
        self._lock = threading.Lock()
        self._waiting: WeakSet[Waiter] = WeakSet()
        self._failed = False

    @property
    def used(self) -> int:
        """Bytes that have been taken and not given back."""
        with self._lock:
            self._count_given_back()
            return self._used

    def take(self, size: int, held: int) -> bool:
        """Take `size` bytes, beyond the `held` that the exchange has; false if there is no room."""
        with self._lock:
            self._count_given_back()
            if held + size > self.limit - self._used - size:
                return False
            self._used += size
            return True

    def give_back(self, size: int) -> None:
        """Give back bytes that `take()` has given, once the disk has them again."""
        self._given_back.append(size)

    def call_when_free(self, size: int, held: int, function: Callable[[], object]) -> Waiter:
        """Have `function` called once `take()` may succeed, in whatever thread makes it so."""
        waiter = Waiter(held + 2 * size, function)
        with self._lock:
            self._waiting.add(waiter)
        self.wake_waiters()
        return waiter

    def wake_waiters(self) -> None:
        """Tell those for whom there may be room by now; not from a finalizer."""
        with self._lock:
            self._count_given_back()
            free = self.limit - self._used
            told = [waiter for waiter in self._waiting if waiter.needed <= free]
            self._waiting.difference_update(told)
        for waiter in told:
            waiter.wake()

    def report_failure(self, error: OSError) -> None:
        """Log that the disk fails: once, however many exchanges need it."""
        with self._lock:
            failed, self._failed = self._failed, True
        if not failed:
            logger.error(
                "no place to keep requests' bodies: they are read ahead no further than memory"
                " allows: %s",
                error,
            )

    def _count_given_back(self) -> None:
        while self._given_back:
            self._used -= self._given_back.popleft()

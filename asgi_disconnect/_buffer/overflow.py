"""What a body needs besides its entries once memory is full (contract §2)."""

import functools
from collections.abc import Callable
from typing import Any

import anyio

from .quota import DiskQuota
from .spool import Spool


class Overflow:
    """The spool, the lock on it, and the wait for room."""

    __slots__ = ("_has_room", "closed", "disk_fails", "lock", "quota", "spool")

    def __init__(self, quota: DiskQuota) -> None:
        self.quota: DiskQuota = quota
        self.spool: Spool = Spool(quota)
        self.lock: anyio.Lock = anyio.Lock()
        """Hold it while you use the spool."""
        self.disk_fails: bool = False
        """The latest attempt to store something failed."""
        self.closed: bool = False
        """Nothing is kept any more."""
        self._has_room: anyio.Event | None = None

    async def wait_for_room(self, size: int, call_threadsafe: Callable[[Any], object]) -> None:
        """Return when there may be room for `size` bytes, in memory or on the disk."""
        self._has_room = event = anyio.Event()
        kept = None
        if not self.disk_fails:  # room on a failing disk is of no use
            wake = functools.partial(call_threadsafe, event.set)
            kept = self.spool.call_when_free(size, wake)
        await event.wait()
        del kept
        self._has_room = None

    def wake_waiter(self) -> None:
        """There is room in memory."""
        if self._has_room is not None:
            self._has_room.set()

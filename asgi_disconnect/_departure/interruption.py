"""Interrupts work that cannot be cancelled, such as a query in a thread.

A single call of a driver's function to interrupt a query may come too early, before the query has
begun, or too late, when the connection already serves another request.  So we call it again and
again until the handler's block ends, never after that, and only for what the handler still has
(contract §6).
"""

import threading
from collections.abc import Callable
from typing import Final

AGAIN_AFTER: Final = 0.1
"""Seconds until the next call: the query may not have begun at the first one."""


class Interruption:
    """What one block interrupts.  Thread-safe."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._over = threading.Event()
        self._held: dict[int, tuple[object, Callable[[], object]]] = {}

    def hold(self, what: object, interrupt: Callable[[], object]) -> None:
        """The handler has got `what`, which `interrupt` interrupts."""
        with self._busy:
            self._held[id(what)] = what, interrupt

    def release(self, what: object) -> None:
        """The handler gives `what` back; return once nobody interrupts it."""
        with self._busy:
            self._held.pop(id(what), None)

    def wait_until_idle(self) -> None:
        """Return when no call is under way."""
        with self._busy:
            pass

    def run(self, is_allowed: Callable[[], bool]) -> None:
        """Interrupt what the handler has, until the block ends."""
        while not self._over.is_set():
            with self._busy:
                if not self._over.is_set() and is_allowed():
                    for _, interrupt in tuple(self._held.values()):
                        interrupt()
            self._over.wait(AGAIN_AFTER)

    def end(self) -> None:
        """The block ends; return once nothing is being interrupted."""
        with self._busy:
            self._over.set()

"""Threads of our own, so that an app whose handlers hold all of anyio's does not hold us up.

Sync handlers may wait in all forty of anyio's default threads, and it may be our work that ends the
wait: reading on to see a client leave, or the callback that cancels a query.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")


class Threads:
    """A number of threads for one purpose, on each event loop."""

    def __init__(self, name: str, count: int) -> None:
        self._count = count
        self._limiter: RunVar[CapacityLimiter] = RunVar(name)

    async def run(
        self, function: Callable[..., T], *arguments: Any, abandon_on_cancel: bool = False
    ) -> T:
        """Call `function` in a thread, and return what it returns."""
        try:
            limiter = self._limiter.get()
        except LookupError:
            limiter = CapacityLimiter(self._count)
            self._limiter.set(limiter)
        return await to_thread.run_sync(
            function, *arguments, limiter=limiter, abandon_on_cancel=abandon_on_cancel
        )

"""Waiting for a condition that some other task or thread makes true, without sleeping."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio

LIMIT = 10
"""Seconds after which what a test waits for counts as hung."""


class Changing:
    """Something with a state, that says when its state has changed.  Made inside the loop."""

    def __init__(self) -> None:
        self._news = anyio.Event()
        self._thread = threading.get_ident()
        self._in_loop: Callable[..., Any]
        try:
            self._in_loop = asyncio.get_running_loop().call_soon_threadsafe
        except RuntimeError:
            import trio

            self._in_loop = trio.lowlevel.current_trio_token().run_sync_soon

    def changed(self) -> None:
        """Wake who waits.  From any thread."""
        if threading.get_ident() == self._thread:
            self._tell()
        else:
            self._in_loop(self._tell)

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once `condition()` is true: without a checkpoint if it is true already."""
        while not condition():
            await self._news.wait()

    async def soon(self, condition: Callable[[], object], what: str) -> None:
        """The same for tests, which must not hang."""
        try:
            with anyio.fail_after(LIMIT):
                await self.until(condition)
        except TimeoutError:
            raise AssertionError(f"{LIMIT} s have passed without: {what}\n{self!r}") from None

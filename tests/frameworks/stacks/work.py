"""The user's code, which is the same in every stack: it works, and cleans up with awaits."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

PIECE = bytes(16384)

Note = Callable[[str], object]

note_of_request: ContextVar[Note] = ContextVar("note_of_request")
"""Whom the code of the current request tells what happens to it.

"working", "cleaning up" and "cleaned up" are what is to be, as often one as the other; background
work tells of its own.  "error" and what follows it must never be heard.
"""


async def work() -> None:
    """Work until cancelled, and clean up."""
    await work_and_tell(note_of_request.get())


async def work_and_tell(note: Note) -> None:
    """The same; first for some turns of the loop, so that it may be about to run when cancelled."""
    note("working")
    try:
        for _ in range(5):
            await checkpoint()
        await anyio.sleep_forever()
    finally:
        await clean_up(note)


async def clean_up(note: Note) -> None:
    """Give back what was held: a cancellation at any of the awaits would cut it short."""
    note("cleaning up")
    await checkpoint()
    async with anyio.Lock():
        await anyio.sleep(0.001)
    note("cleaned up")


async def work_afterwards() -> None:
    """What is left to be done in the background."""
    note = note_of_request.get()
    note("background began")
    await anyio.sleep(0.001)
    note("background ended")


async def pieces() -> AsyncIterator[bytes]:
    """The same as a stream, which waits between two pieces."""
    yield b"piece"
    await work()


async def endless_pieces() -> AsyncIterator[bytes]:
    """More than anybody takes; a server's `send` need not wait, so that this does."""
    while True:
        yield PIECE
        await checkpoint()


class ReportsErrors:
    """A middleware as error trackers have it: whatever it sees should never have been raised."""

    def __init__(self, app: Callable[..., Awaitable[Any]]) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        try:
            return await self.app(scope, receive, send)
        except (Exception, BaseExceptionGroup) as error:
            note_of_request.get()(f"error: {error!r}")
            raise

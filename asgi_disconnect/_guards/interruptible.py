"""A server's `receive` whose calls we can end: no server ends one when a deadline passes.

Contract §10: an app that is in `receive()` at that moment is told.  Usually the watcher reads, and
tells it.  But a call that the app made before there was a watcher waits in the server's own
`receive`.  Once interrupted, it returns ``http.disconnect``, as if the client had left.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, Protocol
from weakref import ref

import anyio

from .._types import Message, Receive

_OURS: Final = "the deadline has passed"
"""The message of our cancellation, which goes no further than the call."""


class InterruptibleReceive:
    """The server's `receive` of an exchange that has a deadline and whose app reads."""

    __slots__ = ("receive",)

    def __init__(self, receive: Receive, guard: object) -> None:
        self.receive: Receive = receive

    @property
    def __self__(self) -> object:
        """Whose method the server's `receive` is."""
        return getattr(self.receive, "__self__", None)

    def __call__(self) -> Awaitable[Message]:
        """Call the server's `receive`."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """End the latest call, which waits, at once; no other begins before it has ended."""
        raise NotImplementedError

    def end(self, error: BaseException | None = None) -> bool:
        """A call has ended, with `error` if it raised; true if it did because we interrupted it.

        Then treat it as if it had returned ``http.disconnect``.
        """
        raise NotImplementedError


def was_interrupted(receive: Receive, error: BaseException | None) -> bool:
    """Whether a call of `receive`, which ended with `error` if it raised, was interrupted by us."""
    return isinstance(receive, InterruptibleReceive) and receive.end(error)


class CountsCancellations(Protocol):
    """The guard, on asyncio, of the app that calls."""

    task: "asyncio.Task[Any]"

    def count_cancellations(self, task: "asyncio.Task[Any]", more: int) -> None:
        """Count `more` pending cancellations of ours, if `task` is the app's."""


class InterruptibleOnAsyncio(InterruptibleReceive):
    """Interrupts a call by one `cancel()` of its task, and an `uncancel()` later.

    It does not wrap the server's coroutine: that would cost each call more than all the rest.
    """

    __slots__ = ("_before", "_ended", "_guard", "_other_task")

    _other_task: "ref[asyncio.Task[Any]] | None"
    """The task that made the latest call, if it is not the app's own.  Weak, because what it ends
    with may refer to the exchange; but weak references are slow to make, so the app's own task
    needs none."""
    _before: int
    """How often the calling task had been cancelled by then."""

    def __init__(self, receive: Receive, guard: Any) -> None:
        # Without `super()`, which would cost each request a call.
        self.receive = receive
        self._guard: CountsCancellations = guard
        self._ended: asyncio.Event | None = None  # made when a call is interrupted

    def __call__(self) -> Awaitable[Message]:
        """Call the server's `receive`."""
        if self._ended is not None:
            return self._call_later(self._ended)
        task = asyncio.current_task()
        assert task is not None
        self._other_task = None if task is self._guard.task else ref(task)
        self._before = task.cancelling()
        return self.receive()

    async def _call_later(self, ended: asyncio.Event) -> Message:
        await ended.wait()
        return await self()

    def _calling_task(self) -> "asyncio.Task[Any] | None":
        return self._guard.task if self._other_task is None else self._other_task()

    def interrupt(self) -> None:
        """End the latest call, which waits, at once; no other begins before it has ended."""
        task = self._calling_task()
        if self._ended is None and task is not None:
            self._ended = asyncio.Event()
            self._guard.count_cancellations(task, 1)
            task.cancel(_OURS)

    def end(self, error: BaseException | None = None) -> bool:
        """A call has ended: undo what an interruption did to its task."""
        if self._ended is None:
            return False
        self._ended.set()
        self._ended = None
        task = self._calling_task()
        assert task is not None
        self._guard.count_cancellations(task, -1)
        task.uncancel()
        if task.cancelling() > self._before and not _is_cancelled_again():
            # Somebody else has cancelled it, too: its next await has to raise that.
            task.cancel()
            task.uncancel()
        return isinstance(error, asyncio.CancelledError)


def _is_cancelled_again() -> bool:
    """Whether anyio cancels the next await anyway."""
    return anyio.get_current_task().has_pending_cancellation()


class InterruptibleOnTrio(InterruptibleReceive):
    """Puts a cancel scope around each call; an interrupted one returns ``http.disconnect``."""

    __slots__ = ("_ended", "_scope")

    def __init__(self, receive: Receive, guard: object) -> None:
        super().__init__(receive, guard)
        self._scope: anyio.CancelScope | None = None
        self._ended: anyio.Event | None = None

    async def __call__(self) -> Message:
        """Call the server's `receive`."""
        if self._ended is not None:
            await self._ended.wait()
        message: Message = {"type": "http.disconnect"}
        try:
            with anyio.CancelScope() as self._scope:
                message = await self.receive()
        finally:
            self._scope = None
            if self._ended is not None:
                self._ended.set()
                self._ended = None
        return message

    def interrupt(self) -> None:
        """Make a waiting call return at once; no other begins before it has."""
        if self._scope is not None:
            self._ended = anyio.Event()
            self._scope.cancel()

    def end(self, error: BaseException | None = None) -> bool:
        """An interrupted call returns by itself."""
        return False

"""A server's `receive` whose calls we can end, since no server ends one when a deadline passes.

Contract §10: an app that is in `receive()` then is told.  Mostly the watcher reads, and tells it;
but a call that the app has made before there was a watcher waits in the server's own `receive`.
Interrupted, it returns ``http.disconnect``, as it would if the client had left.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, Protocol
from weakref import ref

import anyio

from .._types import Message, Receive

_OURS: Final = "the deadline has passed"
"""What is said with a cancellation of ours, which goes no further than the call."""


class InterruptibleReceive:
    """A server's `receive`, of an exchange that has a deadline and whose app reads."""

    __slots__ = ("receive",)

    def __init__(self, receive: Receive, guard: object) -> None:
        self.receive: Receive = receive

    @property
    def __self__(self) -> object:
        """Whose it is, as a bound method says it."""
        return getattr(self.receive, "__self__", None)

    def __call__(self) -> Awaitable[Message]:
        """Call the server's."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Have the latest call, which waits, end at once; none is made before it has."""
        raise NotImplementedError

    def end(self, error: BaseException | None = None) -> bool:
        """A call has ended, with `error` if it raised; true if that is because it was interrupted.

        It may as well have returned ``http.disconnect`` then.
        """
        raise NotImplementedError


def was_interrupted(receive: Receive, error: BaseException | None) -> bool:
    """Whether a call of `receive` has ended, with `error` if it raised, since we interrupted it."""
    return isinstance(receive, InterruptibleReceive) and receive.end(error)


class CountsCancellations(Protocol):
    """The guard of the app whose call it is, on asyncio."""

    task: "asyncio.Task[Any]"

    def count_cancellations(self, task: "asyncio.Task[Any]", more: int) -> None:
        """So many more of ours, or fewer, have not been taken back, if it is the app's task."""


class InterruptibleOnAsyncio(InterruptibleReceive):
    """A call is interrupted by one `cancel()` of its task, which is taken back.

    No coroutine is around the server's own: that would cost each call more than all the rest.
    """

    __slots__ = ("_before", "_ended", "_guard", "_other_task")

    _other_task: "ref[asyncio.Task[Any]] | None"
    """That made the latest call, if not the app's own; weakly, since what it ends with may refer to
    the exchange.  A weak reference takes long enough to make that the app's own needs none."""
    _before: int
    """How often that had been cancelled by then."""

    def __init__(self, receive: Receive, guard: Any) -> None:
        # Not by `super()`, which is a call more for each request.
        self.receive = receive
        self._guard: CountsCancellations = guard
        self._ended: asyncio.Event | None = None  # made when a call is interrupted

    def __call__(self) -> Awaitable[Message]:
        """Call the server's."""
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
        """Have the latest call, which waits, end at once; none is made before it has."""
        task = self._calling_task()
        if self._ended is None and task is not None:
            self._ended = asyncio.Event()
            self._guard.count_cancellations(task, 1)
            task.cancel(_OURS)

    def end(self, error: BaseException | None = None) -> bool:
        """A call has ended; what an interruption did to its task is undone."""
        if self._ended is None:
            return False
        self._ended.set()
        self._ended = None
        task = self._calling_task()
        assert task is not None
        self._guard.count_cancellations(task, -1)
        task.uncancel()
        if task.cancelling() > self._before and not _is_cancelled_again():
            # Somebody else has cancelled it as well: its next await hears of that.
            task.cancel()
            task.uncancel()
        return isinstance(error, asyncio.CancelledError)


def _is_cancelled_again() -> bool:
    """Whether anyio cancels the next await anyway."""
    return anyio.get_current_task().has_pending_cancellation()


class InterruptibleOnTrio(InterruptibleReceive):
    """There is a cancel scope around each call, which returns ``http.disconnect`` then."""

    __slots__ = ("_ended", "_scope")

    def __init__(self, receive: Receive, guard: object) -> None:
        super().__init__(receive, guard)
        self._scope: anyio.CancelScope | None = None
        self._ended: anyio.Event | None = None

    async def __call__(self) -> Message:
        """Call the server's."""
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
        """Have a call that waits return at once; none is made before it has."""
        if self._scope is not None:
            self._ended = anyio.Event()
            self._scope.cancel()

    def end(self, error: BaseException | None = None) -> bool:
        """A call that is interrupted returns by itself."""
        return False

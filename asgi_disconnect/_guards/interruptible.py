"""Calls of a server's `receive` that we can end: no server ends one when a deadline passes.

Contract §10: an app that is in `receive()` at that moment is told.  Usually the watcher reads, and
tells it.  But a call that the app made before there was a watcher waits in the server's own
`receive`.  Once interrupted, it ends as if it had returned ``http.disconnect``.

There is one such call at a time.  The exchange asks `interruptible` before each; if the deadline
passes during a call, `interrupt_call` ends it, and `end_interruption` is called when it has ended.
"""

import asyncio
from typing import Any, Final
from weakref import ref

import anyio

from .._types import Message, Receive

_OURS: Final = "the deadline has passed"
"""The message of our cancellation, which goes no further than the call."""


class InterruptsOnAsyncio:
    """Interrupts a call by one `cancel()` of its task, and an `uncancel()` later.

    It does not wrap the server's `receive`: that would cost each call more than all the rest.
    """

    __slots__ = ("_cancelled_before", "_other_task", "_own_cancellations", "task")

    task: "asyncio.Task[Any]"
    """The app's."""
    _own_cancellations: int
    """Our own calls of its `cancel()` that still need an `uncancel()`."""
    _other_task: "ref[asyncio.Task[Any]] | None"
    """The task that made the latest call, if it is not the app's own.  Weak, because what it ends
    with may refer to the exchange; but weak references are slow to make, so the app's own task
    needs none."""
    _cancelled_before: int
    """How often the calling task had been cancelled by then."""

    def interruptible(self, receive: Receive) -> Receive:
        """What to call instead of `receive`, at once and in this task, so that we can end it."""
        task = asyncio.current_task()
        assert task is not None
        self._other_task = None if task is self.task else ref(task)
        self._cancelled_before = task.cancelling()
        return receive

    def interrupt_call(self) -> None:
        """End the call that waits."""
        task = self._calling_task()
        if task is self.task:
            self._own_cancellations += 1
        task.cancel(_OURS)

    def end_interruption(self, error: BaseException | None) -> bool:
        """The call has ended, with `error` if it raised: undo what we did to its task.

        True if it ended because of us.  Then treat it as if it had returned ``http.disconnect``.
        """
        if isinstance(error, GeneratorExit):  # the loop was dropped, and with it the task
            return False
        task = self._calling_task()
        if task is self.task:
            self._own_cancellations = max(0, self._own_cancellations - 1)
        task.uncancel()
        if task.cancelling() > self._cancelled_before and not _is_cancelled_again():
            # Somebody else has cancelled it, too: its next await has to raise that.
            task.cancel()
            task.uncancel()
        return isinstance(error, asyncio.CancelledError)

    def _calling_task(self) -> "asyncio.Task[Any]":
        task = self.task if self._other_task is None else self._other_task()
        assert task is not None  # it is in the call
        return task


def _is_cancelled_again() -> bool:
    """Whether anyio cancels the next await anyway."""
    return anyio.get_current_task().has_pending_cancellation()


class InterruptibleReceive:
    """On trio, a server's `receive` with a cancel scope around each call."""

    __slots__ = ("_scope", "receive")

    def __init__(self, receive: Receive) -> None:
        self.receive: Receive = receive
        self._scope: anyio.CancelScope | None = None

    async def __call__(self) -> Message:
        """Call the server's `receive`; ``http.disconnect`` if the call is interrupted."""
        with anyio.CancelScope() as self._scope:
            return await self.receive()
        return {"type": "http.disconnect"}

    def interrupt(self) -> None:
        """End the call that waits."""
        assert self._scope is not None
        self._scope.cancel()

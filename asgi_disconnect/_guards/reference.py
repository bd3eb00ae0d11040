"""The reference guard on asyncio: two cancel scopes around the app, and public API only.

It keeps the contract for the caller's task.  It cancels the outer scope, and anyio delivers that in
the same step, outside the app's shields and if nothing is on its way to the app.  In the same step
the inner scope becomes a shield, so that cleanup is not cancelled at every await (§4.4).
`Task.cancelling()` tells whether the cancellation was delivered; if not, we try again a little
later.

`fast` does the same at a third of the cost, reaches an app without polling, and has the tasks of
the app's own groups cancelled only once, too.  This guard takes over where `fast` cannot work:
where anyio or asyncio keep their records differently from what `records` expects.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Any, Final

import anyio

from .._types import App, Receive, Scope, Send
from .groups import PATIENCE
from .on_asyncio import TICKS_OF_A_BUSY_APP, AsyncioGuard
from .protocol import Guarded, never

_OURS: Final = "the client has left, and the app is never still"

_TICKS_TO_UNCANCEL: Final = 3

# Pauses, in seconds, before we try again: first a tick for a task that was about to run, then
# longer for one inside its own shield.
_PAUSES: Final = (0.0, 0.0, 0.001, 0.002, 0.005, 0.01, 0.02)


class ReferenceGuard(AsyncioGuard):
    """Runs one app between two cancel scopes."""

    __slots__ = (
        *("_info", "_inner", "_outer", "_uncancelled", "_to_be_cancelled", "_unless"),
        "has_cancelled",
    )

    def __init__(self, task: "asyncio.Task[Any]", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(task, loop)
        self._outer = anyio.CancelScope()
        self._inner = anyio.CancelScope()
        self._info = anyio.get_current_task()
        self._to_be_cancelled = self._uncancelled = False
        self.has_cancelled: bool = False
        """`cancel_app` has reached the app."""

    async def run(self, exchange: Guarded, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""

        async def between_scopes(scope: Scope, receive: Receive, send: Send) -> Any:
            with self._outer, self._inner:
                return await app(scope, receive, send)

        return await super().run(exchange, between_scopes, scope, watch_after)

    async def app_waits(self) -> None:
        """Return when the app's task has stood still for a tick, or after a few ticks."""
        before, _ = _position_of(self.task)
        for _ in range(TICKS_OF_A_BUSY_APP):
            await asyncio.sleep(0)
            now, futures = _position_of(self.task)
            if now == before and not all(future.done() for future in futures):
                return
            before = now

    async def cancel_app(self, *, unless: Callable[[], bool] = never) -> bool:
        """Cancel the app once, outside its shields, and return when that is done."""
        if unless():
            return False
        self._unless = unless
        self._to_be_cancelled = True
        before = self.task.cancelling()
        self._outer.cancel()
        self._inner.shield = True
        self._note_whether_app_is_reached(before)
        patient_until = self.loop.time() + PATIENCE
        pauses = iter(_PAUSES)
        pause = 0.0
        while self._to_be_cancelled:
            pause = next(pauses, pause)
            await asyncio.sleep(pause)
            if unless() and self._to_be_cancelled:
                self._to_be_cancelled = False
                return False
            if self._to_be_cancelled:  # and was not reached in `checkpoint`
                self._try_again(patient=self.loop.time() < patient_until)
        await self._note_whether_app_uncancels()
        return True

    async def _note_whether_app_uncancels(self) -> None:
        """asyncio lets an app uncancel itself, usually as soon as it is cancelled, and go on."""
        reached = self.task.cancelling()
        for _ in range(_TICKS_TO_UNCANCEL):
            await asyncio.sleep(0)
            if self.task.cancelling() < reached:
                self._uncancelled = True

    def _try_again(self, *, patient: bool) -> None:
        before = self.task.cancelling()
        self._inner.shield = False
        busy = self._info.has_pending_cancellation()  # if not, it is inside its own shield
        self._inner.shield = True
        if busy and not patient and self.task.cancelling() == before:
            self._own_cancellations += 1
            self.task.cancel(_OURS)
        self._note_whether_app_is_reached(before)

    def _note_whether_app_is_reached(self, before: int) -> None:
        self.has_cancelled = self.task.cancelling() != before
        self._to_be_cancelled = not self.has_cancelled

    async def checkpoint(self) -> None:
        """Called by the app itself: deliver a cancellation that has not reached it yet."""
        due = self._to_be_cancelled and not self._unless()
        if not due or asyncio.current_task() is not self.task:
            await asyncio.sleep(0)
            return
        self._inner.shield = False
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.has_cancelled = True
            self._to_be_cancelled = False
            raise
        finally:
            self._inner.shield = True

    def cancel_groups_once(self, timeout: float, overran: Callable[[], object]) -> None:
        """Do nothing: anyio cancels their tasks at every await."""

    def _is_foreign(self, error: asyncio.CancelledError) -> bool:
        # The outer scope catches its own cancellation, unless something turns it into another one,
        # as asyncio.TaskGroup does.
        foreign = self._uncancelled or self.foreign_cancellations() > 0
        return foreign and _OURS not in error.args


def _position_of(
    task: "asyncio.Task[Any]",
) -> "tuple[list[tuple[int, object]], list[asyncio.Future[Any]]]":
    """Where `task` is: each coroutine that it is in, with the instruction there.

    And the future that it waits for, if it is one.  What async generators and the like await stays
    hidden: there this sees less than `fast`.
    """
    position: list[tuple[int, object]] = []
    last: Any = None
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        position.append((id(awaited), frame and frame.f_lasti))
        last = awaited
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    # The innermost is a future's iterator, which refers to the future.
    return position, [each for each in gc.get_referents(last) if asyncio.isfuture(each)]

"""The reference guard on asyncio: two cancel scopes around the app, and public API only.

It keeps the contract for the caller's task.  The outer scope is cancelled.  anyio delivers that in
the same step, outside the app's shields and where nothing is on its way to the app; and in the same
step the inner scope becomes a shield, so that cleanup is not cancelled at every await (§4.4).
`Task.cancelling()` tells whether the cancellation was delivered; if not, it is tried again a little
later.

`fast` does the same for a third of the cost, reaches an app without looking again and again, and
has the tasks of the app's own groups cancelled once, too.  This guard serves where `fast` cannot:
where anyio or asyncio keep their records in another way than `records` expects.
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

_TICKS_TO_TAKE_IT_BACK: Final = 3

# Pauses, in seconds, before it is tried again: first a tick for a task that was about to run, then
# longer for one inside a shield of its own.
_PAUSES: Final = (0.0, 0.0, 0.001, 0.002, 0.005, 0.01, 0.02)


class ReferenceGuard(AsyncioGuard):
    """Runs one app between two cancel scopes."""

    __slots__ = (
        *("_info", "_inner", "_outer", "_taken_back", "_to_be_cancelled", "_unless"),
        "has_cancelled",
    )

    def __init__(self, task: "asyncio.Task[Any]", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(task, loop)
        self._outer = anyio.CancelScope()
        self._inner = anyio.CancelScope()
        self._info = anyio.get_current_task()
        self._to_be_cancelled = self._taken_back = False
        self.has_cancelled: bool = False
        """`cancel_app` has reached the app."""

    async def run(self, exchange: Guarded, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""

        async def between_scopes(scope: Scope, receive: Receive, send: Send) -> Any:
            with self._outer, self._inner:
                return await app(scope, receive, send)

        return await super().run(exchange, between_scopes, scope, watch_after)

    async def app_waits(self) -> None:
        """Return when the app's task has stood still for a tick, or after some."""
        before, _ = _position_of(self.task)
        for _ in range(TICKS_OF_A_BUSY_APP):
            await asyncio.sleep(0)
            now, futures = _position_of(self.task)
            if now == before and not all(future.done() for future in futures):
                return
            before = now

    async def cancel_app(self, *, unless: Callable[[], bool] = never) -> bool:
        """Cancel the app once, outside its shields, and return when that has been done."""
        if unless():
            return False
        self._unless = unless
        self._to_be_cancelled = True
        before = self.task.cancelling()
        self._outer.cancel()
        self._inner.shield = True
        self._see_whether_it_is_reached(before)
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
        await self._see_whether_it_is_taken_back()
        return True

    async def _see_whether_it_is_taken_back(self) -> None:
        """asyncio lets an app take a cancellation back, mostly as soon as it comes, and go on."""
        reached = self.task.cancelling()
        for _ in range(_TICKS_TO_TAKE_IT_BACK):
            await asyncio.sleep(0)
            if self.task.cancelling() < reached:
                self._taken_back = True

    def _try_again(self, *, patient: bool) -> None:
        before = self.task.cancelling()
        self._inner.shield = False
        busy = self._info.has_pending_cancellation()  # else it is inside a shield of its own
        self._inner.shield = True
        if busy and not patient and self.task.cancelling() == before:
            self._own_cancellations += 1
            self.task.cancel(_OURS)
        self._see_whether_it_is_reached(before)

    def _see_whether_it_is_reached(self, before: int) -> None:
        self.has_cancelled = self.task.cancelling() != before
        self._to_be_cancelled = not self.has_cancelled

    async def checkpoint(self) -> None:
        """Called by the app itself: be reached here by a cancellation that has not reached it."""
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
        """Their tasks are cancelled as anyio cancels, at every await."""

    def _is_foreign(self, error: asyncio.CancelledError) -> bool:
        # What the outer scope has cancelled does not leave it, but for what others make of it, as
        # asyncio.TaskGroup does.
        foreign = self._taken_back or self.foreign_cancellations() > 0
        return foreign and _OURS not in error.args


def _position_of(
    task: "asyncio.Task[Any]",
) -> "tuple[list[tuple[int, object]], list[asyncio.Future[Any]]]":
    """Where `task` is: each coroutine that it is in, and the instruction there.

    And the future that it waits for there, if it is one.  What async generators and the like await
    is not told: there this sees less than `fast`.
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

"""The fast guard on asyncio: no cancel scope around the app, and one `task.cancel()`.

It reads three private things, all through `records`: the cancel scopes that the app is in (anyio),
so that the app is cancelled where anyio would cancel it; the future that the app waits for
(asyncio), so that nothing that it has already been given is lost; and how a scope delivers a
cancellation (anyio), so that the tasks of the app's groups are cancelled only once, too.  It does
so because a scope around the app would be half the cost of a quick request, and would cancel
cleanup at every await.  `try_out` tests all of it before the first request.  If asyncio or anyio
keep their records differently, `reference` takes over, and a line at INFO says so.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from . import records, try_out
from .groups import PATIENCE, SparedTasks
from .on_asyncio import TICKS_OF_A_BUSY_APP, AsyncioGuard
from .protocol import never

_OURS: Final = "the client has left"
"""The message of our cancellations."""


class FastGuard(AsyncioGuard):
    """Runs one app on an asyncio and an anyio whose records can be read."""

    __slots__ = (
        "_follows_app",
        "_groups",
        "_outside",
        "_patient_until",
        "_reached",
        "_seen_foreign",
        "_unless",
    )

    def __init__(self, task: "asyncio.Task[Any]", loop: asyncio.AbstractEventLoop) -> None:
        # Without `super()`, which would cost each request a call.
        self.task = task
        self.loop = loop
        self._cancellations_before = task.cancelling()
        self._own_cancellations = 0
        self._children = None
        self._ended = self._follows_app = self._seen_foreign = False
        self._reached: asyncio.Event | None = None  # made when the app has to be cancelled
        self._groups: SparedTasks | None = None
        # The scope around us, if any: its shield is not the app's.
        self._outside = records.innermost_scope(task)

    async def app_waits(self) -> None:
        """Return when the app's task has stood still for a tick, or after a few ticks."""
        before = records.awaited_by(self.task)
        for _ in range(TICKS_OF_A_BUSY_APP):
            await asyncio.sleep(0)
            now = records.awaited_by(self.task)
            if now is before and now is not None and not now.done():
                return
            before = now

    async def cancel_app(self, *, unless: Callable[[], bool] = never) -> bool:
        """Cancel the app once, and return when that is done.

        If the app is inside its own shield, or about to get what it waits for (which would be
        lost), it is cancelled later.  False if `unless` becomes true before that.
        """
        self._reached = asyncio.Event()
        self._unless = unless
        self._patient_until = self.loop.time() + PATIENCE
        self._cancel_when_still()
        await self._reached.wait()
        return not self._unless()

    def _cancel_when_still(self, _: object = None) -> None:
        """Cancel the app, or look again after its next step: nothing changes before that."""
        if self._ended or self._reached is None or self._reached.is_set():
            return
        if self._unless():
            self._reached.set()
            return
        busy = records.is_about_to_run(self.task) and self.loop.time() < self._patient_until
        if busy or records.is_shielded(self.task, self._outside):
            records.call_after_step(self.task, self._cancel_when_still)
        else:
            self._cancel()

    def _is_to_be_cancelled(self) -> bool:
        return self._reached is not None and not self._reached.is_set() and not self._unless()

    def _cancel(self) -> None:
        assert self._reached is not None
        self._reached.set()
        self._unless = never  # it is too late to call it off
        self._own_cancellations += 1
        self.task.cancel(_OURS)
        self._follow_app()

    @property
    def has_cancelled(self) -> bool:
        """`cancel_app` has reached the app."""
        return self._reached is not None and self._unless is never

    async def checkpoint(self) -> None:
        """Called by the app itself: deliver a cancellation that has not reached it yet."""
        if (
            self._is_to_be_cancelled()
            and asyncio.current_task() is self.task
            and not records.is_shielded(self.task, self._outside)
        ):
            self._cancel()
        await asyncio.sleep(0)

    def cancel_groups_once(self, timeout: float, overran: Callable[[], object]) -> None:
        """Have the tasks of the app's own task groups cancelled only once."""
        if self._ended or not try_out.can_spare_groups():
            return
        if records.innermost_scope(self.task) is self._outside:
            return  # usually the app is in none, and so has no group
        if self._groups is None:
            self._groups = SparedTasks(
                self.task,
                self.loop,
                self._outside,
                _OURS,
                timeout,
                is_cancelled_by_others=self._is_cancelled_by_others,
                on_first_cancellation=self._follow_app,
                overran=overran,
            )
        self._groups.watch_scopes()

    def _follow_app(self) -> None:
        """From now on, look at the app after each of its steps."""
        if not self._follows_app:
            self._follows_app = True
            records.call_after_step(self.task, self._see_who_has_cancelled)

    def _see_who_has_cancelled(self, _: object = None) -> None:
        if self._ended:
            return
        # asyncio lets an app uncancel itself and go on.
        self._own_cancellations = min(
            self._own_cancellations, max(self._cancellations_not_by_scopes(), 0)
        )
        if self._is_cancelled_by_others():
            self._seen_foreign = True
            if self._groups is not None:
                self._groups.end()
        records.call_after_step(self.task, self._see_who_has_cancelled)

    def _cancellations_not_by_scopes(self) -> int:
        """How often we or others have cancelled the app's task, not counting its own scopes."""
        by_scopes = records.cancellations_by_scopes(self.task, self._outside)
        return self.task.cancelling() - self._cancellations_before - by_scopes

    def _is_cancelled_by_others(self) -> bool:
        return self._cancellations_not_by_scopes() > self._own_cancellations

    def _is_foreign(self, error: asyncio.CancelledError) -> bool:
        # anyio may uncancel once too often: what a group's task has left to uncancel is added to
        # its host's (4.16).
        foreign = self._seen_foreign or self.foreign_cancellations() > 0
        return foreign and _OURS not in error.args

    def _is_scope_around_us_cancelled(self) -> bool:
        return records.is_cancelled(self._outside)

    def _take_back_cancellations(self) -> None:
        if self._groups is not None:
            self._groups.close()
            self._groups = None
        super()._take_back_cancellations()

    def shield(self) -> contextlib.AbstractContextManager[object]:
        # Usually there is no scope around us, so none can cancel us at each await.
        return contextlib.nullcontext() if self._outside is None else super().shield()

"""Lets cleanup finish in the tasks of the app's own task groups, too (contract §4.4).

anyio cancels the tasks of a group at every await, each turn of the loop, until they end.  Behind a
`BaseHTTPMiddleware`, in a stream or a server-sent event, the user's code is such a task, and its
cleanup would not get past its first await.  *When* a group is cancelled, and in which order, is up
to the app; we change only *how often*: anyio puts a cancel scope around each task of a group, and
when that scope has to deliver the group's cancellation, it cancels the task once and then becomes a
shield, for as long as cleanup may take.  It goes no deeper: a task cancels its own groups as it
leaves them.

This ends with `cleanup_timeout`, with the exchange, and with somebody else's cancellation, which
must reach the tasks as it would without us (§4.5).
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from . import records

PATIENCE: Final = 0.05
"""Seconds (§4.4) after which a task that never stands still is cancelled all the same."""


class SparedTasks:
    """The tasks of one app's groups, each cancelled once and then spared."""

    __slots__ = (
        "_app",
        "_busy_since",
        "_end_handle",
        "_is_cancelled_by_others",
        "_listener",
        "_loop",
        "_message",
        "_on_first_cancellation",
        "_outside",
        "_over",
        "_overran",
        "_shields",
        "_timeout",
        "_watched",
    )

    def __init__(
        self,
        app: "asyncio.Task[Any]",
        loop: asyncio.AbstractEventLoop,
        outside: Any,
        message: str,
        timeout: float,
        *,
        is_cancelled_by_others: Callable[[], bool],
        on_first_cancellation: Callable[[], object],
        overran: Callable[[], object],
    ) -> None:
        self._app = app
        self._loop = loop
        self._outside = outside  # the scope around us, if any
        # Not anyio's own: a group inside the task would take the error for its own cancellation.
        self._message = message
        self._timeout = timeout
        self._is_cancelled_by_others = is_cancelled_by_others
        self._on_first_cancellation = on_first_cancellation
        self._overran = overran
        self._watched: list[Any] = []
        self._shields: set[Any] = set()
        self._busy_since: dict[Any, float] = {}
        self._listener: Any = None
        self._end_handle: asyncio.TimerHandle | None = None
        self._over = False

    def watch_scopes(self) -> None:
        """Watch the scopes that the app has entered by now."""
        if self._over:
            return
        for scope in records.scopes_inside(self._app, self._outside):
            self._watch_with_inner(scope)

    def _watch_with_inner(self, scope: Any) -> None:
        if records.watch(scope, self):
            self._watched.append(scope)
        for inner in records.scopes_in(scope):
            self._watch_with_inner(inner)

    def deliver(self, scope: Any, origin: Any) -> bool:
        """Deliver the cancellation of `origin` to what is in `scope`; true to be asked again."""
        if records.is_cancelled(self._outside) or self._is_cancelled_by_others():
            self.end()
            return records.deliver(scope, origin)
        task = records.task_of_group(scope)
        # With `scope is origin`, the app cancels one task by its handle: leave that alone.
        if task is not None and task is not self._app and scope is not origin:
            return self._cancel_once(task, scope)
        for inner in records.scopes_in(scope):  # it may have started tasks since
            self._watch_with_inner(inner)
        return records.deliver(scope, origin)

    def _cancel_once(self, task: "asyncio.Task[Any]", scope: Any) -> bool:
        """Cancel `task` in its own `scope`, if that is possible now; true to be asked again."""
        if task.done() or scope in self._shields:
            return False
        if records.is_shielded(task, scope):
            return False  # when it leaves its shield, anyio asks again
        if task is asyncio.current_task() or self._is_busy(task, scope):
            return True
        task.cancel(self._message)
        scope.shield = True
        if not self._shields:
            self._start_timer()
        self._shields.add(scope)
        return False

    def _is_busy(self, task: "asyncio.Task[Any]", scope: Any) -> bool:
        """Whether `task` must first get what it has waited for."""
        if not records.is_about_to_run(task):
            return False
        now = self._loop.time()
        return now - self._busy_since.setdefault(scope, now) < PATIENCE

    def _start_timer(self) -> None:
        if self._timeout < float("inf"):
            self._end_handle = self._loop.call_later(self._timeout, self._time_is_over)
        if self._outside is not None:
            # Its cancellation would not get through a group that is cancelled already.
            self._listener = records.listen(self._outside, self.end)
        self._on_first_cancellation()

    def _time_is_over(self) -> None:
        if any(map(records.is_active, self._shields)):
            self._overran()
        self.end()

    def end(self) -> None:
        """From now on, let anyio cancel as usual."""
        if self._over:
            return
        self._over = True
        for scope in self._watched:
            records.unwatch(scope)
        for scope in filter(records.is_active, self._shields):
            scope.shield = False  # delivers the cancellation around it
        self._watched.clear()
        self._shields.clear()
        if self._end_handle is not None:
            self._end_handle.cancel()

    def close(self) -> None:
        """The exchange is over."""
        self.end()
        if self._listener is not None:
            records.stop_listening(self._listener)
            self._listener = None

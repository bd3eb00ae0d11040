"""Runs tasks beside one app on asyncio: started when needed, gone when the app ends."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import anyio

from .clock import alarms_of
from .records import suppress_destroyed_warning

_TICKS_TO_END: Final = 10
"""Turns of the loop that a hook or a callback has to end once it is cut short."""

Tasks = tuple["asyncio.Task[None]", ...]

_left_behind: Final[set["asyncio.Task[None]"]] = set()
"""Hooks and callbacks that go on when cut short; a loop itself holds its tasks only weakly."""


class CallersTask(Protocol):
    """The task in which the app runs, as its `AsyncioGuard` knows it."""

    @property
    def task(self) -> "asyncio.Task[Any]":
        """The task itself."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Its loop."""
        ...

    def foreign_cancellations(self) -> int:
        """How often somebody else has cancelled the task since we began."""
        ...

    def shield(self) -> AbstractContextManager[object]:
        """A shield for our awaits in the task."""
        ...


class Children:
    """The tasks beside one app: at its end, some are cancelled and others waited for."""

    __slots__ = ("_finishing", "_guard", "_running", "_stop_alarm")

    def __init__(self, guard: CallersTask) -> None:
        self._guard = guard
        self._running: Tasks = ()
        self._finishing: Tasks = ()
        self._stop_alarm: Callable[[], object] | None = None

    def set_alarm(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function` in `seconds`, unless the app ends first; a second alarm is ignored."""
        if self._stop_alarm is None:
            loop = self._guard.loop
            self._stop_alarm = alarms_of(loop).set(loop, seconds, function)

    def start(self, coroutine: Coroutine[Any, Any, None], *, finish: bool, eager: bool) -> None:
        """Run `coroutine` until the app ends, or, with `finish`, to its own end."""
        loop = self._guard.loop
        child = _start_eagerly(coroutine, loop) if eager else loop.create_task(coroutine)
        if finish:
            self._finishing = (*_not_done(self._finishing), child)
        else:
            self._running = (*_not_done(self._running), child)

    def cancel_without_waiting(self) -> None:
        """Cancel all of them without awaiting."""
        self._end_alarm()
        children = (*self._running, *self._finishing)
        self._running = self._finishing = ()
        for child in children:
            suppress_destroyed_warning(child)
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            for child in children:
                child.cancel()

    async def end(self, cancelled_before: int) -> None:
        """Cancel those that end with the app; wait for the others unless somebody cancels us.

        Raises a cancellation that comes while we wait.  One that was pending when the app ended
        stays pending, as it would without us.  `cancelled_before` says how many had come by then.
        """
        guard = self._guard
        self._end_alarm()
        for child in self._running:
            child.cancel()
        # Meanwhile, what has to finish takes its first step, whatever comes.
        caught = await self._wait_shielded(self._running)
        came = caught if caught and guard.foreign_cancellations() > cancelled_before else None
        finishing = self._finishing
        if not _are_done(finishing):
            cut_short = bool(cancelled_before or came)
            cut_short = cut_short or anyio.get_current_task().has_pending_cancellation()
            while not cut_short:
                try:
                    await asyncio.wait(finishing)
                    break
                except asyncio.CancelledError as error:
                    # It may be left over from our own cancellation: see `_wait_shielded`.
                    if guard.foreign_cancellations() > cancelled_before:
                        came, cut_short = error, True
            if cut_short:
                for child in finishing:
                    child.cancel()
                await self._wait_shielded(finishing, _TICKS_TO_END)
        for child in (*self._running, *finishing):
            self._report_or_keep(child)
        self._running = self._finishing = ()
        if came is not None:
            try:
                raise came
            finally:
                del came, caught  # the traceback refers to this frame
        if caught is not None and cancelled_before:
            # The caller's next await gets it, as if we had not awaited.
            guard.task.cancel(*caught.args)
            guard.task.uncancel()

    def _end_alarm(self) -> None:
        if self._stop_alarm is not None:
            self._stop_alarm()
            self._stop_alarm = None

    async def _wait_shielded(
        self, children: Tasks, ticks: int | None = None
    ) -> asyncio.CancelledError | None:
        """Wait until `children` are done, or for some ticks; return the cancellation that came.

        It may be nobody's: before Python 3.13 our own cancellation survives its `uncancel()` if the
        app ended before it saw it, or if asyncio.TaskGroup has turned it into another one.
        """
        caught = None
        with self._guard.shield():
            while True:
                try:
                    await asyncio.sleep(0)  # usually enough
                    if ticks is None and not _are_done(children):
                        await asyncio.wait(children)
                except asyncio.CancelledError as error:
                    caught = error.with_traceback(None)  # which refers to this frame
                if ticks is not None:
                    ticks -= 1
                if ticks == 0 or _are_done(children):
                    return caught

    def _report_or_keep(self, child: "asyncio.Task[None]") -> None:
        if not child.done():
            _left_behind.add(child)
            child.add_done_callback(_left_behind.discard)
        elif not child.cancelled() and child.exception() is not None:
            message = "an internal task of asgi_disconnect failed"
            context = {"message": message, "exception": child.exception(), "task": child}
            self._guard.loop.call_exception_handler(context)


def _are_done(children: Tasks) -> bool:
    for child in children:  # noqa: SIM110 - on the path of every watched request
        if not child.done():
            return False
    return True


def _not_done(children: Tasks) -> Tasks:
    return tuple(child for child in children if not child.done()) if children else children


def _start_eagerly(
    coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop
) -> "asyncio.Task[None]":
    """Take the first step of `coroutine` now, unless the loop has a task factory."""
    if sys.version_info >= (3, 12) and loop.get_task_factory() is None:
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    return loop.create_task(coroutine)

"""What the guards on asyncio (uvloop too) share: a clock for all, and tasks when they are needed.

Starting and cancelling a task costs ten times a cancel scope, so a request that ends within
`watch_after` starts none (contract §2).  The app runs in the caller's task (§5).  How it is
cancelled is what the guards differ in: `fast` reads what anyio and asyncio record, `reference`
uses cancel scopes.
"""

import asyncio
import contextlib
import itertools
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from .._exchange.http import Exchange
from .._types import App, Scope
from .clock import clock_of
from .records import say_nothing_of

logger: logging.Logger = logging.getLogger("asgi_disconnect")

TICKS_OF_A_BUSY_APP: Final = 5
"""How long a task that is never still is waited for before it is decided what to do about it."""

_TICKS_TO_END: Final = 10
"""Turns of the loop that a hook or a callback has to end, once it has been cut short."""

_EAGER_CANCELLATIONS: Final = 20
"""How often an app that goes on after its time is cancelled without a pause."""

Children = tuple[asyncio.Task[None], ...]

_left_behind: Final[set[asyncio.Task[None]]] = set()
"""Hooks and callbacks that would not be cut short; a loop itself refers to its tasks weakly."""


class AsyncioGuard(ABC):
    """Runs one app, and whatever is to run beside it, on asyncio."""

    __slots__ = ("_asked", "_cancellations", "_children", "_closed", "_finishing", "_loop", "_task")

    def __init__(self, task: "asyncio.Task[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self._task = task
        self._loop = loop
        self._children: Children = ()
        self._finishing: Children = ()
        self._closed = False
        self._asked = 0  # our own uses of the task's `cancel()` that have not been taken back
        # How often somebody else had asked for the task's cancellation when we began.
        self._cancellations = task.cancelling()

    async def run(self, exchange: Exchange, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""
        loop = self._loop
        clock, foreign = None, 0
        failure: BaseException | None = None  # what the app ended with
        if not watch_after:
            loop.call_soon(exchange.due)
        elif watch_after != math.inf:
            clock = clock_of(loop, watch_after)
            clock.add(exchange, loop)
        try:
            return await app(scope, exchange.receive, exchange.send)
        except Exception as error:
            failure = error
            if not exchange.abandoned:
                raise
            logger.debug("the app ended with an error after its client had left", exc_info=error)
        except asyncio.CancelledError as error:
            if not exchange.abandoned or self._is_foreign(error):
                failure = error
                raise
        except GeneratorExit:
            # Somebody has closed the coroutine, or dropped the loop: nothing can be awaited.
            self._drop_children()
            raise
        except BaseException as error:
            failure = error
            raise
        finally:
            if clock is not None:
                clock.waiting.pop(exchange, None)
            exchange.close(failure)
            failure = None  # its traceback refers to this frame
            self._closed = True
            if self._children or self._finishing:
                foreign = self._foreign_cancellations()
                try:
                    await self._end_children(foreign)
                finally:
                    exchange.closed()
        # Somebody else has cancelled as well, and the app has made another error of it, or one of
        # its groups did not hear of it.
        if self._is_scope_around_us_cancelled():
            await checkpoint_if_cancelled()
        if foreign:
            raise asyncio.CancelledError
        return None

    def start(
        self, function: Callable[[], Coroutine[Any, Any, None]], *, finish: bool = False
    ) -> bool:
        """Run `function` beside the app: until the app ends, or, with `finish`, to its own end.

        False if that is too late: the app has ended, or nothing can be awaited any more.
        """
        if self._closed:
            return False
        child = self._loop.create_task(function())
        if finish:
            self._finishing = _with(child, self._finishing)
        else:
            self._children = _with(child, self._children)
        return True

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in the next tick, if the app still runs."""
        self._loop.call_soon(function)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, whatever thread this is."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(function)

    @abstractmethod
    async def app_waits(self) -> None:
        """Return when the app's task has stood still for a tick, or after some.

        What it started in its last step, as Django's listener, has had its first step then.  Nor
        is it about to run: a cancellation would reach it at its next await only, where it may
        listen by then.
        """

    @abstractmethod
    async def cancel_app(self) -> None:
        """Cancel the app once, outside its shields, and return when that has been done."""

    async def cancel_for_good(self) -> None:
        """Cancel the app at every await from now on, until it ends.

        One that goes on for all that is cancelled ever more seldom: it must not take a whole core.
        """
        pause = 0.0
        for count in itertools.count(1):
            await self.cancel_app()
            await asyncio.sleep(pause)
            if count >= _EAGER_CANCELLATIONS:
                pause = min(0.001 + 2 * pause, 0.1)

    @abstractmethod
    async def checkpoint(self) -> None:
        """Called by the app itself: be reached here by a cancellation that has not reached it.

        An app that is hardly ever outside shields of its own, as one that streams from a thread,
        would else be reached by luck.
        """

    @abstractmethod
    def cancel_groups_once(self, timeout: float, overran: Callable[[], object]) -> None:
        """Have the tasks of the app's own task groups cancelled once, where that can be had."""

    def _foreign_cancellations(self) -> int:
        """How often somebody else has cancelled the task since we began; once the app has ended."""
        return max(self._task.cancelling() - self._cancellations - self._asked, 0)

    @abstractmethod
    def _is_foreign(self, error: asyncio.CancelledError) -> bool:
        """Whether `error`, which has left the app, is somebody else's cancellation."""

    def _let_go_of_app(self) -> None:
        """The app has ended: take back what we have asked for."""
        while self._asked and self._task.cancelling() > self._cancellations:
            self._task.uncancel()
            self._asked -= 1
        self._asked = 0

    def _is_scope_around_us_cancelled(self) -> bool:
        """Whether anyio would cancel the caller's next await; only when the app has ended."""
        return anyio.get_current_task().has_pending_cancellation()

    def _shield(self) -> contextlib.AbstractContextManager[object]:
        """A shield for awaits of ours in the caller's task, if a scope may be around it."""
        return anyio.CancelScope(shield=True)

    def _drop_children(self) -> None:
        """Cancel what runs beside the app, and do not wait for it."""
        self._closed = True
        children = (*self._children, *self._finishing)
        self._children = self._finishing = ()
        for child in children:
            say_nothing_of(child)
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._let_go_of_app()
            for child in children:
                child.cancel()

    async def _end_children(self, before: int) -> None:
        """Cancel the watcher, and wait for what is to finish, unless somebody cancels the caller.

        Raises a cancellation that comes while we wait.  One that was pending when the app ended
        stays pending, as it would without us.  `before` says how many had come by then.
        """
        self._let_go_of_app()
        for child in self._children:
            child.cancel()
        # What is left to finish has its first step in this time, whatever comes.
        caught = await self._wait_shielded(self._children)
        came = caught if caught and self._foreign_cancellations() > before else None
        finishing = self._finishing
        if not _are_done(finishing):
            cut_short = bool(before or came) or anyio.get_current_task().has_pending_cancellation()
            while not cut_short:
                try:
                    await asyncio.wait(finishing)
                    break
                except asyncio.CancelledError as error:
                    # It may be what is left of a cancellation of ours: see `_wait_shielded`.
                    if self._foreign_cancellations() > before:
                        came, cut_short = error, True
            if cut_short:
                for child in finishing:
                    child.cancel()
                await self._wait_shielded(finishing, _TICKS_TO_END)
        for child in (*self._children, *finishing):
            self._see_off(child)
        self._children = self._finishing = ()
        if came is not None:
            try:
                raise came
            finally:
                del came, caught  # whose traceback refers to this frame
        if caught is not None and before:
            # The caller's next await gets it, as if we had not awaited.
            self._task.cancel(*caught.args)
            self._task.uncancel()

    async def _wait_shielded(
        self, children: Children, ticks: int | None = None
    ) -> asyncio.CancelledError | None:
        """Wait until `children` are done, or for some ticks; return the cancellation that came.

        It may be nobody's: before Python 3.13 a cancellation of ours outlives its being taken back
        if the app has not lived to see it, or if asyncio.TaskGroup has made another one of it.
        """
        caught = None
        with self._shield():
            while True:
                try:
                    await asyncio.sleep(0)  # mostly this is enough
                    if ticks is None and not _are_done(children):
                        await asyncio.wait(children)
                except asyncio.CancelledError as error:
                    caught = error.with_traceback(None)  # which refers to this frame
                if ticks is not None:
                    ticks -= 1
                if ticks == 0 or _are_done(children):
                    return caught

    def _see_off(self, child: "asyncio.Task[None]") -> None:
        if not child.done():
            _left_behind.add(child)
            child.add_done_callback(_left_behind.discard)
        elif not child.cancelled() and child.exception() is not None:
            message = "an error of asgi_disconnect's own, beside an app"
            context = {"message": message, "exception": child.exception(), "task": child}
            self._loop.call_exception_handler(context)


def _are_done(children: Children) -> bool:
    for child in children:  # noqa: SIM110 - on the path of every watched request
        if not child.done():
            return False
    return True


def _with(child: "asyncio.Task[None]", others: Children) -> Children:
    """`child`, and those of the others that still run."""
    return (*(other for other in others if not other.done()), child)

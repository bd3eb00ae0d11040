"""What the guards on asyncio (uvloop too) share: a clock for all, and tasks when they are needed.

Starting and cancelling a task costs ten times as much as a cancel scope, so a request that ends
within `watch_after` starts none (contract §2).  The app runs in the caller's task (§5).  The guards
differ in how they cancel it: `fast` reads what anyio and asyncio record, `reference` uses cancel
scopes.
"""

import asyncio
import contextlib
import itertools
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from .._types import App, Scope
from .children import Children
from .clock import start_clock
from .interruptible import InterruptsOnAsyncio
from .protocol import Guarded, never

logger: logging.Logger = logging.getLogger("asgi_disconnect")

TICKS_OF_A_BUSY_APP: Final = 5
"""How many ticks we wait for a task that is never still."""

_EAGER_CANCELLATIONS: Final = 20
"""How often we cancel an app that goes on after its time before we pause."""


class AsyncioGuard(InterruptsOnAsyncio):
    """Runs one app, and the tasks beside it, on asyncio.

    The subclasses add what the guards differ in.  This is no `ABC`: each request makes one, and an
    `ABC` is slower to instantiate.
    """

    __slots__ = (
        "_cancellations_before",
        "_children",
        "_ended",
        "loop",
    )

    def __init__(self, task: "asyncio.Task[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self.task = task
        self.loop = loop
        self._cancellations_before = task.cancelling()
        self._own_cancellations = 0
        self._children: Children | None = None
        self._ended = False  # the app has

    async def run(self, exchange: Guarded, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""
        loop = self.loop
        clock, foreign = None, 0
        failure: BaseException | None = None  # what the app ended with
        if not watch_after:
            loop.call_soon(exchange.due)
        elif watch_after != math.inf:
            clock = start_clock(exchange, loop, watch_after)
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
            self._ended = True
            if self._children is not None:
                foreign = self.foreign_cancellations()
                self._take_back_cancellations()
                try:
                    await self._children.end(foreign)
                finally:
                    self._children = None  # which refers to us
                    exchange.closed()
        # Somebody else has cancelled, too, and the app has turned that into another error, or one
        # of its groups did not hear of it.
        if self._is_scope_around_us_cancelled():
            await checkpoint_if_cancelled()
        if foreign:
            raise asyncio.CancelledError
        return None

    def start(
        self,
        function: Callable[[], Coroutine[Any, Any, None]],
        *,
        finish: bool = False,
        eager: bool = False,
    ) -> bool:
        """Run `function` beside the app: until the app ends, or, with `finish`, to its own end.

        With `eager` its first step may be taken before this returns (Python 3.12), which spares the
        loop a turn.

        False if it is too late: the app has ended, or nothing can be awaited any more.
        """
        if self._ended:
            return False
        self._get_children().start(function(), finish=finish, eager=eager)
        return True

    def _get_children(self) -> Children:
        if self._children is None:
            self._children = Children(self)
        return self._children

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in the next tick, if the app still runs."""
        self.loop.call_soon(function)

    def set_alarm(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function` in `seconds`, if the app still runs; a second alarm is ignored."""
        if not self._ended:
            self._get_children().set_alarm(seconds, function)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, whatever thread this is."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self.loop.call_soon_threadsafe(function)

    async def app_waits(self) -> None:
        """Return when the app's task has stood still for a tick, or after a few ticks.

        By then, what it started in its last step, such as Django's listener, has had its first.
        Nor is the app about to run: a cancellation would reach it only at its next await, where it
        may listen.
        """
        raise NotImplementedError

    async def cancel_app(self, *, unless: Callable[[], bool] = never) -> bool:
        """Cancel the app once, outside its shields, and return when that is done.

        False if `unless` becomes true before that.
        """
        raise NotImplementedError

    async def cancel_for_good(self) -> None:
        """Cancel the app at every await from now on, until it ends.

        An app that still goes on is cancelled less and less often, so that it takes no whole core.
        """
        pause = 0.0
        for count in itertools.count(1):
            await self.cancel_app()
            await asyncio.sleep(pause)
            if count >= _EAGER_CANCELLATIONS:
                pause = min(0.001 + 2 * pause, 0.1)

    async def checkpoint(self) -> None:
        """Called by the app itself: deliver a cancellation that has not reached it yet.

        Only luck would reach an app that is hardly ever outside its own shields, such as one that
        streams from a thread.
        """
        raise NotImplementedError

    def cancel_groups_once(self, timeout: float, overran: Callable[[], object]) -> None:
        """Have the tasks of the app's own task groups cancelled only once, where possible."""
        raise NotImplementedError

    def foreign_cancellations(self) -> int:
        """How often others have cancelled the task since we began; valid once the app has ended."""
        return max(self.task.cancelling() - self._cancellations_before - self._own_cancellations, 0)

    def _is_foreign(self, error: asyncio.CancelledError) -> bool:
        """Whether `error`, which has left the app, is somebody else's cancellation."""
        raise NotImplementedError

    def _take_back_cancellations(self) -> None:
        """The app has ended: uncancel what we have cancelled."""
        while self._own_cancellations and self.task.cancelling() > self._cancellations_before:
            self.task.uncancel()
            self._own_cancellations -= 1
        self._own_cancellations = 0

    def _is_scope_around_us_cancelled(self) -> bool:
        """Whether anyio would cancel the caller's next await; valid once the app has ended."""
        return anyio.get_current_task().has_pending_cancellation()

    def shield(self) -> contextlib.AbstractContextManager[object]:
        """A shield for our awaits in the caller's task, if a scope may be around it."""
        return anyio.CancelScope(shield=True)

    def _drop_children(self) -> None:
        self._ended = True
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._take_back_cancellations()
        if self._children is not None:
            self._children.cancel_without_waiting()
            self._children = None

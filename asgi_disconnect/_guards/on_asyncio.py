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
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from .._types import App, Scope
from .children import Children
from .clock import start_clock
from .interruptible import InterruptibleOnAsyncio, InterruptibleReceive
from .protocol import Guarded, never

logger: logging.Logger = logging.getLogger("asgi_disconnect")

TICKS_OF_A_BUSY_APP: Final = 5
"""How long a task that is never still is waited for before it is decided what to do about it."""

_EAGER_CANCELLATIONS: Final = 20
"""How often an app that goes on after its time is cancelled without a pause."""


class AsyncioGuard:
    """Runs one app, and whatever is to run beside it, on asyncio.

    What the guards differ in is left out here.  This is no `ABC`: one is made for each request, and
    an ABC's instances take longer to make.
    """

    __slots__ = (
        "_cancellations_before",
        "_children",
        "_ended",
        "_own_cancellations",
        "loop",
        "task",
    )

    interruptible: ClassVar[type[InterruptibleReceive]] = InterruptibleOnAsyncio

    def __init__(self, task: "asyncio.Task[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self.task = task
        self.loop = loop
        self._cancellations_before = task.cancelling()
        # Our own uses of the task's `cancel()` that have not been taken back.
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
        # Somebody else has cancelled as well, and the app has made another error of it, or one of
        # its groups did not hear of it.
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

        False if that is too late: the app has ended, or nothing can be awaited any more.
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
        """Call `function` then, if the app still runs; there is one, and a second is ignored."""
        if not self._ended:
            self._get_children().set_alarm(seconds, function)

    def count_cancellations(self, task: "asyncio.Task[Any]", more: int) -> None:
        """So many more of our own, or fewer, have not been taken back, if it is the app's task."""
        if task is self.task:
            self._own_cancellations = max(0, self._own_cancellations + more)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, whatever thread this is."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self.loop.call_soon_threadsafe(function)

    async def app_waits(self) -> None:
        """Return when the app's task has stood still for a tick, or after some.

        What it started in its last step, as Django's listener, has had its first step then.  Nor
        is it about to run: a cancellation would reach it at its next await only, where it may
        listen by then.
        """
        raise NotImplementedError

    async def cancel_app(self, *, unless: Callable[[], bool] = never) -> bool:
        """Cancel the app once, outside its shields, and return when that has been done.

        False if `unless` has become true before that.
        """
        raise NotImplementedError

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

    async def checkpoint(self) -> None:
        """Called by the app itself: be reached here by a cancellation that has not reached it.

        An app that is hardly ever outside shields of its own, as one that streams from a thread,
        would else be reached by luck.
        """
        raise NotImplementedError

    def cancel_groups_once(self, timeout: float, overran: Callable[[], object]) -> None:
        """Have the tasks of the app's own task groups cancelled once, where that can be had."""
        raise NotImplementedError

    def foreign_cancellations(self) -> int:
        """How often somebody else has cancelled the task since we began; once the app has ended."""
        return max(self.task.cancelling() - self._cancellations_before - self._own_cancellations, 0)

    def _is_foreign(self, error: asyncio.CancelledError) -> bool:
        """Whether `error`, which has left the app, is somebody else's cancellation."""
        raise NotImplementedError

    def _take_back_cancellations(self) -> None:
        """The app has ended: take back what we have asked for."""
        while self._own_cancellations and self.task.cancelling() > self._cancellations_before:
            self.task.uncancel()
            self._own_cancellations -= 1
        self._own_cancellations = 0

    def _is_scope_around_us_cancelled(self) -> bool:
        """Whether anyio would cancel the caller's next await; only when the app has ended."""
        return anyio.get_current_task().has_pending_cancellation()

    def shield(self) -> contextlib.AbstractContextManager[object]:
        """A shield for awaits of ours in the caller's task, if a scope may be around it."""
        return anyio.CancelScope(shield=True)

    def _drop_children(self) -> None:
        self._ended = True
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._take_back_cancellations()
        if self._children is not None:
            self._children.cancel_without_waiting()
            self._children = None

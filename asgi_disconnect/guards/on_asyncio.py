"""The guard on asyncio (uvloop too): a clock that all share, and tasks when they are needed.

Starting and cancelling a task costs ten times a cancel scope, so a request that ends within
`watch_after` starts none (contract §2).  The app runs in the caller's task (§5), and in no scope of
ours: what cancels it is the task's own `cancel()`, at an await where anyio would have done it, and
once, where anyio would cancel every await of the cleanup too (§4.4).
"""

import asyncio
import contextlib
import gc
import logging
import math
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from ..exchange import Exchange
from ..types import App, Receive, Scope, Send
from .clock import clock_of
from .shields import is_shielded

logger: logging.Logger = logging.getLogger("asgi_disconnect")

# Pauses, in seconds, before asking again whether the app has been reached: first a tick for a task
# that was about to run, then longer for one inside a shield of its own.
_PAUSES = (0.0, 0.0, 0.001, 0.002, 0.005)

_OURS = "the client has left"
"""What is said with a cancellation of ours."""

_TICKS_OF_A_BUSY_APP = 5
"""How long a task that is never still is waited for before it is cancelled."""


class AsyncioGuard:
    """Runs one app, and whatever is to run beside it, on asyncio."""

    __slots__ = (
        "_asked",
        "_cancellations",
        "_children",
        "_closed",
        "_finishing",
        "_loop",
        "_outside",
        "_task",
        "_wanted",
    )

    def __init__(
        self,
        task: "asyncio.Task[Any]",
        loop: asyncio.AbstractEventLoop,
        outside: anyio.CancelScope | None,
    ) -> None:
        self._task = task
        self._loop = loop
        self._outside = outside  # the scope around us, if any: a shield of its is not the app's
        self._children: tuple[asyncio.Task[None], ...] = ()
        self._finishing: tuple[asyncio.Task[None], ...] = ()
        self._closed = self._wanted = False
        self._asked = 0  # how often we have asked for the task's cancellation
        # How often somebody else had asked for the task's cancellation when we began.
        if sys.version_info >= (3, 11):
            self._cancellations = task.cancelling()

    async def run(self, exchange: Exchange, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""
        loop = self._loop
        clock, others = None, False
        if not watch_after:
            loop.call_soon(exchange.due)
        elif watch_after != math.inf:
            clock = clock_of(loop, watch_after)
            clock.add(exchange, loop)
        try:
            return await app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if not exchange.abandoned:
                raise
            logger.debug("the app ended with an error after its client had left", exc_info=error)
        except asyncio.CancelledError as error:
            if not exchange.abandoned or self._cancelled_by_others(error):
                raise
        finally:
            if clock is not None:
                clock.waiting.pop(exchange, None)
            exchange.close()
            self._closed = True
            if self._children or self._finishing:
                others = self._cancelled_by_others()
                self._take_back()
                await self._end_children()
                exchange.closed()
        if others:  # and the app made another error of it
            raise asyncio.CancelledError
        return None

    def start(
        self, function: Callable[[], Coroutine[Any, Any, None]], *, finish: bool = False
    ) -> None:
        """Run `function` beside the app: until the app ends, or, with `finish`, to its own end."""
        if not self._closed:
            child = self._loop.create_task(function())
            if finish:
                self._finishing = _with(child, self._finishing)
            else:
                self._children = _with(child, self._children)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in the next tick, if the app still runs."""
        self._loop.call_soon(function)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, whatever thread this is."""
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(function)

    async def app_waits(self) -> None:
        """Return when the app's task has stood still for a tick, or after some.

        What it started in its last step, as Django's listener, has had its first step then.  Nor
        is it about to run: a cancellation would reach it at its next await only, where it may
        listen by then.
        """
        before, _ = self._position()
        for _ in range(_TICKS_OF_A_BUSY_APP):
            await asyncio.sleep(0)
            now, futures = self._position()
            if now == before and not all(future.done() for future in futures):
                return
            before = now

    def _position(self) -> "tuple[list[tuple[int, object]], list[asyncio.Future[Any]]]":
        """Where the task is: each coroutine that it is in, and the instruction there.

        And the future that it waits for there, if it is one.
        """
        position: list[tuple[int, object]] = []
        last: Any = None
        awaited: Any = self._task.get_coro()
        while awaited is not None:
            frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
            position.append((id(awaited), frame and frame.f_lasti))
            last = awaited
            awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
        # The innermost is a future's iterator, which refers to the future.
        return position, [each for each in gc.get_referents(last) if asyncio.isfuture(each)]

    async def cancel_app(self) -> None:
        """Cancel the app once, and return when that has been done.

        Where it is inside a shield of its own, or about to be given what it has waited for, which
        would be lost, it is cancelled later.
        """
        self._wanted = True
        pauses = iter(_PAUSES)
        pause = 0.0
        before: list[asyncio.Future[Any]] = []
        while self._wanted:
            _, futures = self._position()
            # What is still there a tick later is not what it waits for.
            if not any(future.done() and future not in before for future in futures):
                self._cancel_outside_shields()
            if self._wanted:
                before = futures
                pause = next(pauses, pause)
                await anyio.sleep(pause)

    def _cancel_outside_shields(self) -> None:
        if not is_shielded(self._task, self._outside):
            self._wanted = False
            self._asked += 1
            self._task.cancel(_OURS)

    async def cancel_for_good(self) -> None:
        """Cancel the app at every await from now on, until it ends."""
        while True:
            await self.cancel_app()
            await asyncio.sleep(0)

    async def checkpoint(self) -> None:
        """Called by the app itself: be reached here by a cancellation that has not reached it.

        An app that is hardly ever outside shields of its own, as one that streams from a thread,
        would else be reached by luck.
        """
        if self._wanted and asyncio.current_task() is self._task:
            self._cancel_outside_shields()
        await asyncio.sleep(0)

    if sys.version_info >= (3, 11):

        def _cancelled_by_others(self, error: BaseException | None = None) -> bool:
            """Whether somebody else has asked for it, as well."""
            return self._task.cancelling() - self._asked > self._cancellations

        def _take_back(self) -> None:
            while self._asked and self._task.cancelling() > self._cancellations:
                self._task.uncancel()
                self._asked -= 1
            self._asked = 0

        def _repeat_cancellation(self, error: asyncio.CancelledError) -> None:
            self._task.cancel(*error.args)
            self._task.uncancel()
    else:
        # Python 3.10 does not count the requests, but hands on what was said with them.

        def _cancelled_by_others(self, error: BaseException | None = None) -> bool:
            """Whether somebody else has asked for it: `error` was not raised for us."""
            while isinstance(error, asyncio.CancelledError) and _OURS not in error.args:
                if not isinstance(error.__context__, asyncio.CancelledError):
                    return True
                error = error.__context__
            return False

        def _take_back(self) -> None:
            pass

        def _repeat_cancellation(self, error: asyncio.CancelledError) -> None:
            self._task.cancel(*error.args)

    async def _end_children(self) -> None:
        """Cancel what still runs and wait for it, without being a place where we are cancelled."""
        for child in self._children:
            child.cancel()
        children = (*self._children, *self._finishing)
        deferred = None
        # A scope that is cancelled would cancel each of our awaits; mostly there is none.
        in_scope = self._outside is not None
        with anyio.CancelScope(shield=True) if in_scope else contextlib.nullcontext():
            while True:
                try:
                    # Mostly this is enough.  It also collects what may be left of a cancellation
                    # of ours that the app did not live to see, or that asyncio.TaskGroup made of
                    # it: before Python 3.13 such a one outlives its being taken back.
                    await asyncio.sleep(0)
                    if not all(child.done() for child in children):
                        await asyncio.wait(children)
                except asyncio.CancelledError as error:
                    if self._cancelled_by_others(error):
                        deferred = error
                if all(child.done() for child in children):
                    break
        for child in children:
            if not child.cancelled():
                child.result()
        self._children = self._finishing = ()
        if deferred is not None:
            # The caller's next await gets it, as if we had not awaited.
            self._repeat_cancellation(deferred)


def _with(
    child: "asyncio.Task[None]", others: "tuple[asyncio.Task[None], ...]"
) -> "tuple[asyncio.Task[None], ...]":
    """`child`, and those of the others that still run."""
    return (*(other for other in others if not other.done()), child)


class AsyncioGuardWithScope(AsyncioGuard):
    """The same, for an anyio of tomorrow's whose shields cannot be seen.

    `outside` is a scope that has not been entered.  The app runs in it, and anyio cancels: the
    shields hold, but cleanup that awaits is cancelled at once.
    """

    __slots__ = ()
    _outside: anyio.CancelScope

    async def run(self, exchange: Exchange, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""

        async def in_scope(scope: Scope, receive: Receive, send: Send) -> Any:
            with self._outside:
                return await app(scope, receive, send)

        return await super().run(exchange, in_scope, scope, watch_after)

    def _cancel_outside_shields(self) -> None:
        self._wanted = False
        self._outside.cancel()

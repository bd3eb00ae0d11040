"""The guard on asyncio (uvloop too): two cancel scopes, a clock that all share, tasks when needed.

Starting and cancelling a task costs ten times a cancel scope, so a request that ends within
`watch_after` starts none (contract §2).  The app runs in the caller's task (§5), in a scope inside
the scope that is cancelled: raising the inner one's shield once the cancellation has been delivered
keeps anyio from delivering it again to the cleanup that it started (§4.4).
"""

import asyncio
import contextlib
import functools
import gc
import logging
import math
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from ..exchange import Exchange
from ..types import App, Scope
from .clock import clock_of

logger: logging.Logger = logging.getLogger("asgi_disconnect")

# Pauses, in seconds, before asking again whether the app has been reached: first a tick for a task
# that was about to run, then longer for one inside a shield of its own.
_PAUSES = (0.0, 0.0, 0.001, 0.002, 0.005)

_TICKS_OF_A_BUSY_APP = 5
"""How long a task that is never still is waited for before it is cancelled."""


@functools.cache
def _scope_class() -> type[anyio.CancelScope]:
    """The class of this back end's cancel scopes.

    `anyio.CancelScope()` looks the back end up for every scope and initialises the scope twice,
    which together costs as much as entering and leaving it.
    """
    return type(anyio.CancelScope())


class AsyncioGuard:
    """Runs one app, and whatever is to run beside it, on asyncio."""

    __slots__ = (
        "_app_scope",
        "_cancellations",
        "_children",
        "_closed",
        "_finishing",
        "_loop",
        "_outer_scope",
        "_reached",
        "_task",
        "_task_info",
    )

    def __init__(self, task: "asyncio.Task[Any]", loop: asyncio.AbstractEventLoop) -> None:
        self._task = task
        self._loop = loop
        self._children: tuple[asyncio.Task[None], ...] = ()
        self._finishing: tuple[asyncio.Task[None], ...] = ()
        self._closed = False
        self._reached = False
        # How often somebody else had asked for the task's cancellation when we began.
        if sys.version_info >= (3, 11):
            self._cancellations = task.cancelling()
        else:
            self._task_info = anyio.get_current_task()

    async def run(self, exchange: Exchange, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""
        loop = self._loop
        clock = None
        if not watch_after:
            loop.call_soon(exchange.due)
        elif watch_after != math.inf:
            clock = clock_of(loop, watch_after)
            clock.add(exchange, loop)
        new_scope = _scope_class()
        try:
            with new_scope() as self._outer_scope, new_scope() as self._app_scope:
                return await app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if not exchange.abandoned:
                raise
            logger.debug("the app ended with an error after its client had left", exc_info=error)
        except asyncio.CancelledError:
            # What leaves the scope need not be anyio's even if all that was asked for is ours:
            # asyncio.TaskGroup, in Django 6.1, cancels its task anew and without anyio's message.
            if not exchange.abandoned or self._cancelled_by_others(unknown=True):
                raise
        finally:
            if clock is not None:
                clock.discard(exchange)
            exchange.close()
            self._closed = True
            if self._children or self._finishing:
                await self._end_children()
                exchange.closed()
        if self._cancelled_by_others(unknown=False):
            # Their cancellation came with ours, and an older anyio took both for ours.
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
            now, waits = self._position()
            if waits and now == before:
                return
            before = now

    def _position(self) -> tuple[list[tuple[int, object]], bool]:
        """Where the task is: each coroutine that it is in, and the instruction there.

        And whether what it waits for there is yet to come.
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
        futures = [each for each in gc.get_referents(last) if asyncio.isfuture(each)]
        return position, any(not future.done() for future in futures)

    async def cancel_app(self) -> None:
        """Cancel the app once, and return when it has been reached.

        The first delivery and the raising of the shield are one step: a tick later anyio would
        deliver a second time, into the cleanup.  But a shield raised over a task that has not been
        reached, since it was about to run or is inside a shield of its own, would lose the
        cancellation; so the shield is lowered and raised again until it has been.
        """
        pauses = iter(_PAUSES)
        pause = 0.0
        before = self._requests()
        self._outer_scope.cancel()
        self._app_scope.shield = True
        self._reached = self._is_reached(before)
        while not self._reached:
            pause = next(pauses, pause)
            await anyio.sleep(pause)
            if not self._reached:
                self._app_scope.shield = False
                self._app_scope.shield = True
                self._reached = self._is_reached(before)

    def cancel_for_good(self) -> None:
        """Cancel the app at every await from now on."""
        self._app_scope.shield = False

    async def checkpoint(self) -> None:
        """Called by the app itself: be reached here by a cancellation that has not reached it.

        An app that is hardly ever outside shields of its own, as one that streams from a thread,
        would else be reached by luck.
        """
        if self._reached or not self._outer_scope.cancel_called:
            await asyncio.sleep(0)
            return
        self._reached = True
        self._app_scope.shield = False
        try:
            await asyncio.sleep(0)
        finally:
            self._app_scope.shield = True

    if sys.version_info >= (3, 11):

        def _requests(self) -> int:
            return self._task.cancelling()

        def _is_reached(self, before: int) -> bool:
            return self._task.cancelling() > before

        def _cancelled_by_others(self, unknown: bool) -> bool:
            """Whether somebody else asked for it; anyio has taken back what we asked for."""
            return self._task.cancelling() > self._cancellations

        def _repeat_cancellation(self, error: asyncio.CancelledError) -> None:
            self._task.cancel(*error.args)
            self._task.uncancel()
    else:
        # Python 3.10 does not count the requests.

        def _requests(self) -> int:
            return 0

        def _is_reached(self, before: int) -> bool:
            return self._task_info.has_pending_cancellation()

        def _cancelled_by_others(self, unknown: bool) -> bool:
            return unknown

        def _repeat_cancellation(self, error: asyncio.CancelledError) -> None:
            self._task.cancel(*error.args)

    async def _end_children(self) -> None:
        """Cancel what still runs and wait for it, without being a place where we are cancelled."""
        for child in self._children:
            child.cancel()
        children = (*self._children, *self._finishing)
        deferred = None
        with _scope_class()(shield=True):
            while True:
                try:
                    # Mostly this is enough.  It also collects what may be left of a cancellation
                    # of ours: before Python 3.13 the one that asyncio.TaskGroup made of it
                    # outlives the scope.
                    await asyncio.sleep(0)
                    if all(child.done() for child in children):
                        break
                    await asyncio.wait(children)
                except asyncio.CancelledError as error:
                    if self._cancelled_by_others(unknown=True):
                        deferred = error
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

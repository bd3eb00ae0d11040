"""The guard on asyncio (uvloop too): two cancel scopes, a loop timer, and tasks only when needed.

Starting and cancelling a task costs ten times a cancel scope, so a request that ends within
`watch_after` starts none (contract §2).  The app runs in the caller's task (§5), in a scope inside
the scope that is cancelled: raising the inner one's shield once the cancellation has been delivered
keeps anyio from delivering it again to the cleanup that it started (§4.4).
"""

import asyncio
import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from ..exchange import Exchange, logger
from ..types import App, Scope

if sys.version_info >= (3, 11):

    def _cancellations(task: "asyncio.Task[Any]") -> int:
        return task.cancelling()
else:

    def _cancellations(task: "asyncio.Task[Any]") -> int:
        return 0


class AsyncioGuard:
    """Runs one app, and whatever is to run beside it, on asyncio."""

    __slots__ = ("_app_scope", "_children", "_closed", "_outer_scope", "_task", "_task_info")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self._children: list[asyncio.Task[None]] = []
        self._closed = False

    async def run(self, exchange: Exchange, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""
        task = self._task
        cancellations = _cancellations(task)
        timer = None
        if watch_after != math.inf:
            timer = task.get_loop().call_later(watch_after, exchange.due)
        try:
            with anyio.CancelScope() as self._outer_scope, anyio.CancelScope() as self._app_scope:
                return await app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if not exchange.abandoned:
                raise
            logger.debug("the app ended with an error after its client had left", exc_info=error)
        except asyncio.CancelledError:
            # What leaves the scope need not be anyio's even if all that was asked for is ours:
            # asyncio.TaskGroup, in Django 6.1, cancels its task anew and without anyio's message.
            if not exchange.abandoned or sys.version_info < (3, 11) or task.cancelling() > cancellations:
                raise
        finally:
            if timer is not None:
                timer.cancel()
            exchange.close()
            self._closed = True
            if self._children:
                await self._end_children()
        if _cancellations(task) > cancellations:
            # Somebody else's cancellation came with ours, and an older anyio took both for ours.
            raise asyncio.CancelledError
        return None

    def start(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run `function` beside the app, at the latest until the app ends."""
        if not self._closed:
            self._children.append(self._task.get_loop().create_task(function()))

    async def cancel_app(self) -> None:
        """Cancel the app once; again, and as often as it takes, if its cleanup takes too long."""
        self._outer_scope.cancel()

    async def _end_children(self) -> None:
        """Cancel what still runs and wait for it, without being a place where we are cancelled."""
        for child in self._children:
            child.cancel()
        deferred: list[tuple[Any, ...]] = []
        with anyio.CancelScope(shield=True):
            while not all(child.done() for child in self._children):
                try:
                    await asyncio.wait(self._children)
                except asyncio.CancelledError as error:
                    deferred.append(error.args)
        for child in self._children:
            if not child.cancelled():
                child.result()
        self._children.clear()
        for args in deferred:
            # The caller's next await gets it, as if we had not awaited.
            self._task.cancel(*args)
            if sys.version_info >= (3, 11):
                self._task.uncancel()

"""The guard on trio: a task group, with a child that sleeps before it watches.

Cancellation stays what trio's users know: level-triggered, and cleanup that awaits shields itself
(contract §4.4).
"""

import contextlib
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import trio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from .._types import App, Receive, Scope
from .interruptible import InterruptibleReceive
from .protocol import Guarded, never

logger: logging.Logger = logging.getLogger("asgi_disconnect")


class TrioGuard:
    """Runs one app, and the tasks beside it, in a task group."""

    __slots__ = (
        "_app_scope",
        "_child_scopes",
        "_closed",
        "_finished",
        "_finishing_scopes",
        "_has_alarm",
        "_interruptible",
        "_task_group",
        "_token",
    )

    _task_group: TaskGroup
    _interruptible: InterruptibleReceive

    def __init__(self) -> None:
        self._app_scope = anyio.CancelScope()
        self._child_scopes: set[anyio.CancelScope] = set()
        self._finishing_scopes: set[anyio.CancelScope] = set()
        self._finished = anyio.Event()
        self._closed = self._has_alarm = False
        self._token = trio.lowlevel.current_trio_token()

    async def run(self, exchange: Guarded, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""

        async def wait_until_due() -> None:
            await anyio.sleep(watch_after)
            exchange.due()

        result = None
        failure: BaseException | None = None
        # The app's exception must not leave through the task group, which would wrap it.
        async with anyio.create_task_group() as self._task_group:
            self.start(wait_until_due)
            try:
                with self._app_scope:
                    try:
                        result = await app(scope, exchange.receive, exchange.send)
                    except Exception as error:  # a scope would replace an exception group
                        failure = error
            except BaseException as error:
                failure = error
            exchange.close(failure)
            self._closed = True
            for child_scope in self._child_scopes:
                child_scope.cancel()
            try:
                await self._end_finishing()
            except trio.Cancelled as error:
                failure = error
        exchange.closed()
        try:
            if failure is not None:
                if not (exchange.abandoned and isinstance(failure, Exception)):
                    raise failure
                logger.debug(
                    "the app ended with an error after its client had left", exc_info=failure
                )
            return result
        finally:
            del failure

    def start(
        self,
        function: Callable[[], Coroutine[Any, Any, None]],
        *,
        finish: bool = False,
        eager: bool = False,
    ) -> bool:
        """Run `function` beside the app: until the app ends, or, with `finish`, to its own end.

        With `eager` its first step may be taken before this returns.

        False if it is too late: the app has ended.
        """
        if self._closed:
            return False
        # Shielded: a cancellation from outside ends the app, and then we end the child.  If it also
        # ended the child, it would leave through the task group.
        child_scope = anyio.CancelScope(shield=True)
        scopes = self._finishing_scopes if finish else self._child_scopes
        scopes.add(child_scope)
        self._task_group.start_soon(self._run_child, scopes, child_scope, function)
        return True

    async def _run_child(
        self,
        scopes: set[anyio.CancelScope],
        child_scope: anyio.CancelScope,
        function: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        try:
            with child_scope:
                await function()
        finally:
            scopes.discard(child_scope)
            if not self._finishing_scopes:
                self._finished.set()

    async def _end_finishing(self) -> None:
        """Wait for what has to finish, unless the caller is or was cancelled."""
        if not self._finishing_scopes:
            return
        cancelled_before = trio.current_effective_deadline() == -math.inf
        try:
            if not cancelled_before:
                self._finished = anyio.Event()
                await self._finished.wait()
        finally:  # cut short, after its first step
            for child_scope in self._finishing_scopes:
                child_scope.cancel()

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in the next tick, if the app still runs."""

        async def call() -> None:
            await checkpoint()
            function()

        self.start(call)

    def set_alarm(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function` in `seconds`, if the app still runs; a second alarm is ignored."""

        async def call() -> None:
            await anyio.sleep(seconds)
            function()

        if not self._has_alarm:
            self._has_alarm = self.start(call)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, whatever thread this is."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)

    def interruptible(self, receive: Receive) -> Receive:
        """What to call instead of `receive`, at once and in this task."""
        if isinstance(receive, InterruptibleReceive):
            return receive
        self._interruptible = InterruptibleReceive(receive)
        return self._interruptible

    def interrupt_call(self) -> None:
        """End the call that waits."""
        self._interruptible.interrupt()

    def end_interruption(self, error: BaseException | None) -> bool:
        """An interrupted call returns ``http.disconnect`` by itself."""
        return False

    async def app_waits(self) -> None:
        """There is nothing to wait for."""

    async def cancel_app(self, *, unless: Callable[[], bool] = never) -> bool:
        """Cancel the app, at each of its checkpoints from now on; cleanup shields itself."""
        if unless():
            return False
        self._app_scope.cancel()
        return True

    @property
    def has_cancelled(self) -> bool:
        """`cancel_app` has been called: the app is reached at its next checkpoint."""
        return self._app_scope.cancel_called

    async def cancel_for_good(self) -> None:
        """`cancel_app` has done that."""

    def cancel_groups_once(self, timeout: float, overran: Callable[[], object]) -> None:
        """Do nothing: their tasks are cancelled as the app is."""

    async def checkpoint(self) -> None:
        """Called by the app itself: deliver a cancellation that has not reached it yet."""
        await checkpoint()

"""The guard on trio: a task group, with a child that sleeps before it watches.

Cancellation stays what trio's users know: level-triggered, and cleanup that awaits shields itself
(contract §4.4).
"""

import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import trio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from ..exchange import Exchange
from ..types import App, Scope

logger: logging.Logger = logging.getLogger("asgi_disconnect")


class TrioGuard:
    """Runs one app, and whatever is to run beside it, in a task group."""

    __slots__ = ("_app_scope", "_child_scopes", "_closed", "_task_group", "_token")

    _task_group: TaskGroup

    def __init__(self) -> None:
        self._app_scope = anyio.CancelScope()
        self._child_scopes: set[anyio.CancelScope] = set()
        self._closed = False
        self._token = trio.lowlevel.current_trio_token()

    async def run(self, exchange: Exchange, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned."""

        async def wait_until_due() -> None:
            await anyio.sleep(watch_after)
            exchange.due()

        result = failure = None
        # The app's exception must not leave through the task group, which would wrap it.
        async with anyio.create_task_group() as self._task_group:
            self.start(wait_until_due)
            try:
                with self._app_scope:
                    result = await app(scope, exchange.receive, exchange.send)
            except BaseException as error:
                failure = error
            exchange.close()
            self._closed = True
            for child_scope in self._child_scopes:
                child_scope.cancel()
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
        self, function: Callable[[], Coroutine[Any, Any, None]], *, finish: bool = False
    ) -> None:
        """Run `function` beside the app: until the app ends, or, with `finish`, to its own end."""
        if not self._closed:
            # Shielded: a cancellation from outside ends the app, and then we end the child.  If
            # it ended the child as well, it would leave through the task group.
            child_scope = anyio.CancelScope(shield=True)
            if not finish:
                self._child_scopes.add(child_scope)
            self._task_group.start_soon(self._run_child, child_scope, function)

    async def _run_child(
        self, child_scope: anyio.CancelScope, function: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        with child_scope:
            await function()
        self._child_scopes.discard(child_scope)

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in the next tick, if the app still runs."""

        async def call() -> None:
            await checkpoint()
            function()

        self.start(call)

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, whatever thread this is."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function)

    async def app_waits(self) -> None:
        """Nothing is to be waited for."""

    async def cancel_app(self) -> None:
        """Cancel the app, at each of its checkpoints from now on; cleanup shields itself."""
        self._app_scope.cancel()

    async def cancel_for_good(self) -> None:
        """It has been so from the start."""

    async def checkpoint(self) -> None:
        """Called by the app itself: be reached here by a cancellation that has not reached it."""
        await checkpoint()

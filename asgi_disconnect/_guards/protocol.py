"""What a guard is, and what it knows of an exchange.

A guard knows nothing of messages or of how a body is kept; an exchange knows nothing of tasks.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from .._types import App, Message, Receive, Scope


def never() -> bool:
    """Return false, always."""
    return False


class Guarded(Protocol):
    """An exchange, as its guard knows it."""

    @property
    def abandoned(self) -> bool:
        """Whether what the app raises is kept from the server."""
        ...

    async def receive(self) -> Message:
        """The app's `receive`."""
        ...

    async def send(self, message: Message) -> None:
        """The app's `send`."""

    def due(self) -> None:
        """It is time to watch."""

    def close(self, error: BaseException | None = None) -> None:
        """The app has ended, with `error` if it raised; what runs beside it is about to."""

    def closed(self) -> None:
        """What ran beside the app has ended."""


class Guard(Protocol):
    """Runs the app, and the tasks beside it, and cancels it when its exchange says so."""

    async def run(self, exchange: Guarded, app: App, scope: Scope, watch_after: float) -> Any:
        """Call `app` and return what it returns, or None if it was abandoned.

        `exchange.due()` is called `watch_after` seconds later, if the app still runs.
        """

    def start(
        self,
        function: Callable[[], Coroutine[Any, Any, None]],
        *,
        finish: bool = False,
        eager: bool = False,
    ) -> bool:
        """Run `function` beside the app: until the app ends, or, with `finish`, to its own end.

        With `eager` its first step may be taken before this returns.

        False if it is too late: the app has ended, or nothing can be awaited any more.
        """
        ...

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in the next tick, if the app still runs."""

    def set_alarm(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function` in `seconds`, if the app still runs; a second alarm is ignored."""

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, whatever thread this is."""

    async def app_waits(self) -> None:
        """Return when the app has stood still for a tick, or after a few ticks."""

    async def cancel_app(self, *, unless: Callable[[], bool] = never) -> bool:
        """Cancel the app, only once where possible, and return when it has been reached.

        False if `unless` becomes true before that, and the app goes on.
        """
        ...

    @property
    def has_cancelled(self) -> bool:
        """`cancel_app` has reached the app."""
        ...

    async def cancel_for_good(self) -> None:
        """Cancel the app at every await from now on, until it ends."""

    def cancel_groups_once(self, timeout: float, overran: Callable[[], object]) -> None:
        """Have each task of the app's own task groups cancelled only once, where possible.

        After `timeout` seconds they are cancelled at every await, and `overran` is called.
        """

    async def checkpoint(self) -> None:
        """Called by the app itself: deliver a cancellation that has not reached it yet."""

    def interruptible(self, receive: Receive) -> Receive:
        """What to call instead of `receive`, at once and in this task, so that we can end it."""
        ...

    def interrupt_call(self) -> None:
        """End the call that waits."""

    def end_interruption(self, error: BaseException | None) -> bool:
        """That call has ended, with `error` if it raised.

        True if it ended because of us.  Then treat it as if it had returned ``http.disconnect``.
        """
        ...

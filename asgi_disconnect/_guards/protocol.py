"""What a guard is, and what it has to know of an exchange.

A guard knows nothing of messages or of how a body is kept; an exchange knows nothing of tasks.
"""

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Protocol

from .._types import App, Message, Scope
from .interruptible import InterruptibleReceive


def never() -> bool:
    """False."""
    return False


class Guarded(Protocol):
    """An exchange, as far as its guard knows it."""

    @property
    def abandoned(self) -> bool:
        """What the app raises is not the server's to hear of."""
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

    interruptible: ClassVar[type[InterruptibleReceive]]
    """What a server's `receive` has to be for calls of the app's to be ended."""

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

        False if that is too late: the app has ended, or nothing can be awaited any more.
        """
        ...

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in the next tick, if the app still runs."""

    def set_alarm(self, seconds: float, function: Callable[[], object]) -> None:
        """Call `function` then, if the app still runs; there is one, and a second is ignored."""

    def call_threadsafe(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, whatever thread this is."""

    async def app_waits(self) -> None:
        """Return when the app has stood still for a tick, or after some."""

    async def cancel_app(self, *, unless: Callable[[], bool] = never) -> bool:
        """Cancel the app, once where that can be had, and return when it has been reached.

        False if `unless` has become true before that, and the app goes on.
        """
        ...

    @property
    def has_cancelled(self) -> bool:
        """`cancel_app` has reached the app."""
        ...

    async def cancel_for_good(self) -> None:
        """Cancel the app at every await from now on, until it ends."""

    def cancel_groups_once(self, timeout: float, overran: Callable[[], object]) -> None:
        """Have each task of the app's own task groups cancelled once, where that can be had.

        For `timeout` seconds at most; then they are cancelled at every await, and `overran` is
        called.
        """

    async def checkpoint(self) -> None:
        """Called by the app itself: be reached here by a cancellation that has not reached it."""

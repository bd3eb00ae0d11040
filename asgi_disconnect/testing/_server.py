"""What the servers of both kinds have in common: `receive`, `send`, and the app's run.

`_behaviours` and `_websocket_behaviours` tell how the servers differ.
"""

from collections.abc import Callable

import anyio

from .._exchange.reader import WATCHER_READS
from .._report import PLAYED, DisconnectReport, Reported
from .._types import App, Message, Scope
from ._hints import hint_at_cause
from ._result import Outcome


class PlayedServer:
    """Serves one exchange, and remembers what happened."""

    def __init__(self, scope: Scope, cancels_after: float | None) -> None:
        self.scope: Scope = {**scope, PLAYED: self}
        self.sent: list[Message] = []
        """What the app sent while the client was there."""
        self.called: bool = False
        self.ended: bool = False
        self.gone: bool = False
        """The client has left."""
        self.premature: bool = False
        """It left before the app was done with it."""
        self.told: bool = False
        """The app has been given a premature disconnect."""
        self.cancelled: bool = False
        """The app ended by a cancellation, ours or its own."""
        self.overran: bool = False
        """We cancelled it because it ran on for too long."""
        self.receiving: int = 0
        """Calls of `receive()` that wait."""
        self.sending: int = 0
        """Calls of `send()` that wait."""
        self.exception: Exception | None = None
        self.hint: str = ""
        """What `exception` probably comes from."""
        self.runs_lifespan: bool = False
        self.report: DisconnectReport | None = None
        self.exchange: Reported | None = None
        """The exchange of a `DisconnectMiddleware` around the app, while the app runs."""
        self.app_scope: anyio.CancelScope = anyio.CancelScope()
        self._cancels_after = cancels_after
        self._left_at = self._ended_at = 0.0
        self._waiters: list[tuple[Callable[[], bool], anyio.Event]] = []

    # What the kinds differ in

    @property
    def complete(self) -> bool:
        """The app is done with its client: a disconnect is no longer premature."""
        raise NotImplementedError

    @property
    def succeeded(self) -> bool:
        """An app whose client stayed has done what it was called for."""
        raise NotImplementedError

    @property
    def has_message(self) -> bool:
        """`receive()` has something to give."""
        raise NotImplementedError

    @property
    def waits_for_client(self) -> bool:
        """Somebody waits in `receive()`, and there is nothing left to get."""
        raise NotImplementedError

    @property
    def app_listens(self) -> bool:
        """Somebody in the app waits in `receive()`, and there is nothing left to get.

        `DisconnectMiddleware` does not count while the app does something else.
        """
        guarded = self.exchange
        if guarded is None:
            return self.waits_for_client
        if guarded.listens:
            return not self.has_message
        return self.waits_for_client and guarded.reader not in WATCHER_READS

    @property
    def silent(self) -> bool:
        """It has said "disconnect", and will not say it again."""
        raise NotImplementedError

    def take_message(self) -> Message:
        """What `receive()` gives next."""
        raise NotImplementedError

    def note_cancelled_receive(self) -> None:
        """A call of `receive()` has been cancelled."""

    async def handle(self, message: Message) -> None:
        """Do what the server does with what the app sends."""
        raise NotImplementedError

    # The app's side

    async def receive(self) -> Message:
        """The `receive` that the app is given."""
        self.receiving += 1
        self._changed()
        try:
            while not self.has_message:
                await self.until(lambda: self.has_message)
            return self.take_message()
        except anyio.get_cancelled_exc_class():
            self.note_cancelled_receive()
            raise
        finally:
            self.receiving -= 1
            self._changed()

    async def send(self, message: Message) -> None:
        """The `send` that the app is given."""
        self.sending += 1
        try:
            await self.handle(message)
        finally:
            self.sending -= 1
            self._changed()

    # The client's side

    def leave(self) -> None:
        """The client closes its connection."""
        if not self.gone:
            self.gone = True
            self.premature = not (self.ended or self.complete)
            self._left_at = anyio.current_time()
            self._changed()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition` holds."""
        if not condition():
            # Not woken by each change: with one in every tick, asyncio would never find it waiting,
            # and could not cancel it.
            waiter = condition, anyio.Event()
            self._waiters.append(waiter)
            try:
                await waiter[1].wait()
            finally:
                self._waiters.remove(waiter)

    def _changed(self) -> None:
        for condition, event in self._waiters:
            if condition():
                event.set()

    # Between them

    async def serve(self, app: App) -> None:
        """Call the app as the server would, and wait for its end."""
        try:
            await self.call(app)
        finally:
            self.ended = True
            self.exchange = None
            self._ended_at = anyio.current_time()
            self._changed()

    async def call(self, app: App) -> None:
        """Call the app, and note how it ends."""
        self.called = True
        self._changed()
        try:
            with self.app_scope:
                await app(self.scope, self.receive, self.send)
        except Exception as error:
            self.exception = error
            self.hint = hint_at_cause(error, lifespan=self.runs_lifespan)
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise
        self.cancelled = self.app_scope.cancelled_caught

    async def stop_app(self) -> None:
        """Cancel the app, if it still runs, and wait for its end."""
        if not self.ended:
            self.leave()
            self.app_scope.cancel()
            await self.until(lambda: self.ended)

    async def cancel_in_time(self) -> None:
        """Cancel the app as the server does by itself, if it does."""
        if self._cancels_after is not None:
            await self.until(lambda: self.gone or self.complete)
            await anyio.sleep(self._cancels_after)
            self.app_scope.cancel()

    def note_exchange(self, exchange: Reported) -> None:
        """Note that a `DisconnectMiddleware` guards the app."""
        self.exchange = exchange

    def observe(self, report: DisconnectReport) -> None:
        """Keep the report of a `DisconnectMiddleware`, wherever in the app it is."""
        if report.scope.get(PLAYED) is self:
            self.report = report

    @property
    def seconds(self) -> float:
        """Seconds that the app ran on after its client had left too early."""
        return max(0.0, self._ended_at - self._left_at) if self.premature else 0.0

    @property
    def outcome(self) -> Outcome:
        """What became of the app; it has ended."""
        if not self.called:
            return "uncalled"
        if self.overran:
            return "overran"
        if self.report is not None:
            return self.report.outcome
        if not self.premature:
            return "completed" if self.succeeded else "failed"
        if self.cancelled:
            return "cancelled"
        return "told" if self.told else "finished"

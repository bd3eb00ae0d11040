"""Decides what becomes of the app when its client leaves: told first, then cancelled.

Contract §4; nothing else decides it.  Django, Quart and streaming responses listen for the
disconnect, and clean up when they are told, but not when they are cancelled from outside.  So an
app that listens gets `grace` seconds, and one that does not is cancelled at once.
"""

import functools
import math
import threading
import time
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint

from .._guards.protocol import Guard
from .._options import Options
from .callbacks import Callback, call_in_time
from .causes import BY_REFUSAL, SEND_ERROR_GRACE, Cause, Outcome
from .interruption import Interruption


class Departing(Protocol):
    """An exchange whose client has left."""

    @property
    def complete(self) -> bool:
        """The response is complete."""
        ...

    @property
    def listens(self) -> bool:
        """The app waits in `receive()`, and gets the disconnect after the messages before it."""
        ...


class Departure:
    """One client's departure: whether it has happened, and what it does to the app."""

    __slots__ = (
        *("_callbacks", "_cancelling_since", "_critical", "_guard", "_happened", "_lock"),
        *("_not_critical", "_options", "cancelled", "cause", "ignored", "interruptions"),
        *("overran", "send_failed", "sending", "told"),
    )

    def __init__(self, options: Options, guard: Guard | None) -> None:
        self._options = options
        self._guard = guard  # None once the app has ended
        self._lock = threading.Lock()  # handles work from any thread
        self._callbacks: dict[object, tuple[Context, Callback]] = {}
        self._critical = 0
        self.interruptions: list[Interruption] = []  # what a critical block waits for
        self._not_critical: anyio.Event | None = None
        self._cancelling_since = math.inf
        self._happened: anyio.Event | None = None
        self.cause: Cause | None = None
        """Why the response will not be completed; None as long as it may be."""
        self.told: bool = False
        """The app has been given the disconnect."""
        self.ignored: bool = False
        """The app must not be cancelled."""
        self.sending: int = 0
        """How many later messages wait in the server's `send`, as they do for ever on some."""
        self.send_failed: bool = False
        """The server's `send` has raised, which tells the app too."""
        self.cancelled: bool = False
        self.overran: bool = False
        """The app has not ended in time."""

    @property
    def drops(self) -> bool:
        """Whether to drop what the app sends: some servers block it for ever (hypercorn's h2)."""
        return self.cancelled or self.cause in BY_REFUSAL

    @property
    def interrupts(self) -> bool:
        """Whether the app's work may be interrupted."""
        return self._options.cancel and not (self.ignored or self._critical)

    @property
    def abandoned(self) -> bool:
        """Whether the app raises because it was cancelled or told to stop.

        Even with a complete response: frameworks answer such errors with one of their own.  But
        errors of the server's `send` are for the server to catch (ASGI HTTP specification,
        "Disconnected Client").
        """
        told = self.told and self.cause == "disconnect"
        return self.drops or (told and self._options.cancel and not self.ignored)

    @property
    def outcome(self) -> Outcome:
        """What became of the app, once it has ended."""
        if self.overran:
            return "overran"
        if self.cancelled or (self.drops and self.cause != "deadline"):
            return "cancelled"
        if self.ignored or not self._options.cancel:
            return "ignored"
        return "told" if self.told else "finished"

    def happen(self, cause: Cause, *, told: bool) -> None:
        """The client has left before the response was complete."""
        with self._lock:
            self.cause = cause
            callbacks, self._callbacks = self._callbacks, {}
        self._cancel_groups_once()  # before somebody hears of it and cancels a group
        self.told = told
        if self._happened is not None:
            self._happened.set()
        for context, callback in callbacks.values():
            context.run(self._start_callback, callback)

    def tell(self) -> None:
        """The app is given the disconnect."""
        self.told = True
        if self.cause is not None:
            self._cancel_groups_once()  # it may have opened some since

    def _cancel_groups_once(self) -> None:
        guard, timeout = self._guard, self._options.cleanup_timeout
        if guard is not None and timeout and self._options.cancel and not self.ignored:
            guard.cancel_groups_once(timeout, self._overrun)

    def _overrun(self) -> None:
        self.overran = True

    def _is_called_off(self) -> bool:
        return False  # see `WebSocketDeparture`

    def close(self) -> None:
        """The app has ended: callbacks are not called any more."""
        with self._lock:
            self._callbacks.clear()
            self._guard = None
        seconds = time.monotonic() - self._cancelling_since
        if self.cancelled and seconds > self._options.cleanup_timeout:
            self.overran = True  # a thread or another shield may have held the cancellation back

    async def carry_out(self, exchange: Departing) -> None:
        """Cancel the app when its time is up; this is itself cancelled if the app ends first."""
        options, guard = self._options, self._guard
        if guard is None or not options.cancel:
            return
        # A waiting `receive()` takes a tick to return, and the response may end in this very tick:
        # neither may be cancelled.  Two ticks, because trio runs a tick's tasks in any order.
        await checkpoint()
        await checkpoint()
        # Nor an app about to listen: Django would lose its view and `request_finished`.
        await guard.app_waits()
        told = self.told or exchange.listens
        if not await self._outlasts_grace(exchange, told=told):
            return
        await self._critical_blocks_end()
        if exchange.complete:
            # Its last message may still be on its way, for some ticks or for ever (hypercorn's h2).
            if self.sending and not told:
                await anyio.sleep(options.grace)
            await guard.app_waits()
            if not self.sending:
                return
        if self.ignored:
            return
        self.overran = told
        self.cancelled = True
        self._cancel_groups_once()
        self._cancelling_since = time.monotonic()
        if not await guard.cancel_app(unless=self._is_called_off):
            self.cancelled = self.overran = False
            return
        await anyio.sleep(options.cleanup_timeout)
        self.overran = True
        await guard.cancel_for_good()

    async def _outlasts_grace(self, exchange: Departing, *, told: bool) -> bool:
        """Give the app time to end by itself; false if it must not be cancelled afterwards."""
        if told:
            by_error = self.cause == "send_error"
            grace = self._options.grace
            await anyio.sleep(min(grace, SEND_ERROR_GRACE) if by_error else grace)
        return True

    async def wait(self) -> None:
        """Return when the client has left."""
        if self._happened is None:
            self._happened = anyio.Event()
            if self.cause is not None:
                self._happened.set()
        await self._happened.wait()

    def add_callback(self, callback: Callback) -> object:
        """Call `callback` in this context once the client leaves; return a key to remove it."""
        key, context = object(), copy_context()
        with self._lock:
            if self.cause is None:
                self._callbacks[key] = context, callback
                return key
        self._call_threadsafe(lambda: context.run(self._start_callback, callback))
        return key

    def remove_callback(self, key: object) -> bool:
        """Remove a callback; false if it is too late for that.  Thread-safe."""
        with self._lock:
            return self._callbacks.pop(key, None) is not None

    def enter_critical(self) -> None:
        """Hold back the cancellation.  Thread-safe."""
        with self._lock:
            self._critical += 1

    def leave_critical(self) -> None:
        """Let the cancellation through, if no other block holds it back.  Thread-safe."""
        with self._lock:
            self._critical -= 1
            event = None if self._critical else self._not_critical
        if event is not None:
            self._call_threadsafe(event.set)

    async def _critical_blocks_end(self) -> None:
        while True:
            with self._lock:
                if not self._critical:
                    return
                self._not_critical = event = anyio.Event()
            await event.wait()

    def _call_threadsafe(self, function: Callable[[], object]) -> None:
        guard = self._guard
        if guard is not None:
            guard.call_threadsafe(function)

    def _start_callback(self, callback: Callback) -> None:
        guard, patience = self._guard, self._options.cleanup_timeout
        if guard is not None:
            call = functools.partial(call_in_time, callback, patience, guard.call_threadsafe)
            guard.start(call, finish=True)

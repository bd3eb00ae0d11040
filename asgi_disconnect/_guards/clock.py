"""One timer for all exchanges of a loop that are not watched yet, instead of one for each.

Few exchanges live until they are watched.  Timers of their own would mostly be cancelled, and a
cancelled timer is freed only at the end of the loop's turn.

Exchanges that live longer may each have a deadline: `Alarms` has one timer for all of these.
"""

import asyncio
import heapq
import math
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Final, Protocol
from weakref import WeakKeyDictionary, ref

_EARLY: Final = 0.001
"""The resolution of a loop's clock in seconds: uvloop's counts milliseconds."""

_SLOT: Final = 0.005
"""Seconds by which an alarm may be late: those of one slot go off together."""

_LONGEST: Final = 1e8
"""Seconds (some three years): loops do not take just any number."""


class Waiting(Protocol):
    """Something that waits until it is due."""

    def due(self) -> object:
        """It is time."""
        ...


class Clock:
    """Tells each exchange of one loop when `seconds` have passed since it began.

    It keeps nothing of an exchange that has ended; the timer, which refers to none, runs out.
    """

    __slots__ = ("_context", "loop", "runs", "seconds", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop: ref[asyncio.AbstractEventLoop] = ref(loop)
        self.seconds: float = seconds
        self.runs: bool = False
        self.waiting: dict[Waiting, tuple[float, Context]] = {}
        """Exchanges not told yet, with the time and context to tell them in, until they end."""
        self._context = Context()  # the timer belongs to no request

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the timer."""
        self.runs = True
        loop.call_later(self.seconds, self._tick, loop, context=self._context)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time() + _EARLY
        due: list[tuple[Waiting, Context]] = []
        for exchange, (when, context) in self.waiting.items():
            if when > now:
                loop.call_at(when, self._tick, loop, context=self._context)
                break
            due.append((exchange, context))
        else:
            self.runs = False
        for exchange, context in due:
            del self.waiting[exchange]
            loop.call_soon(exchange.due, context=context)


_clocks: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float, Clock]]] = (
    WeakKeyDictionary()
)
_latest: Clock | None = None


def start_clock(exchange: Waiting, loop: asyncio.AbstractEventLoop, seconds: float) -> Clock:
    """Have `exchange.due()` called `seconds` from now, in the caller's context.

    To prevent that, remove it from the returned clock's `waiting`.
    """
    global _latest
    clock = _latest
    if clock is None or clock.loop() is not loop or clock.seconds != seconds:
        clock = _latest = _clock_of(loop, seconds)
    clock.waiting[exchange] = loop.time() + seconds, copy_context()
    if not clock.runs:
        clock.start(loop)
    return clock


def _clock_of(loop: asyncio.AbstractEventLoop, seconds: float) -> Clock:
    of_loop = _clocks.setdefault(loop, {})
    return of_loop.get(seconds) or of_loop.setdefault(seconds, Clock(loop, seconds))


class Alarms:
    """Calls functions on one loop, each at its own time and never before.

    Like `Clock`, it keeps nothing of a cancelled alarm; the timer goes with the last one.
    """

    __slots__ = ("_context", "_slots", "_timer", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[int, dict[object, tuple[Callable[[], object], Context]]] = {}
        """The functions to call, by time slot."""
        self._slots: list[int] = []
        """A heap of these slots, and of some that are empty by now."""
        self._timer: asyncio.TimerHandle | None = None
        self._context = Context()  # the timer belongs to no request

    def set(
        self, loop: asyncio.AbstractEventLoop, seconds: float, function: Callable[[], object]
    ) -> Callable[[], None]:
        """Have `function` called then, in the caller's context; the returned function prevents it.

        You may call that one repeatedly, and too late.
        """
        slot = math.ceil((loop.time() + min(seconds, _LONGEST)) / _SLOT)
        if slot not in self._waiting:
            self._waiting[slot] = {}
            heapq.heappush(self._slots, slot)
            if self._slots[0] == slot:
                self._set_timer(loop)
        key = object()
        self._waiting[slot][key] = function, copy_context()
        return lambda: self._cancel(slot, key)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        when = self._slots[0] * _SLOT
        self._timer = loop.call_at(when, self._go_off, loop, context=self._context)

    def _go_off(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = (loop.time() + _EARLY) / _SLOT
        while self._slots and self._slots[0] <= now:
            for function, context in self._waiting.pop(heapq.heappop(self._slots), {}).values():
                loop.call_soon(function, context=context)
        if self._waiting:
            self._set_timer(loop)

    def _cancel(self, slot: int, key: object) -> None:
        together = self._waiting.get(slot, {})
        if together.pop(key, None) is None or together:
            return
        del self._waiting[slot]  # the heap drops it when its time comes
        if not self._waiting:
            self._slots.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None


_alarms: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Alarms]] = WeakKeyDictionary()


def alarms_of(loop: asyncio.AbstractEventLoop) -> Alarms:
    """The loop's alarms."""
    found = _alarms.get(loop)
    if found is None:
        found = _alarms[loop] = Alarms()
    return found

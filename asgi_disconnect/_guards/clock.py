"""One timer for all the exchanges of a loop that are not watched yet, instead of one for each.

Hardly an exchange lives until it is watched, so that nearly every timer of its own would be made
to be cancelled; and what is cancelled is given back at the end of the loop's turn only.
"""

import asyncio
from contextvars import Context, copy_context
from typing import Final, Protocol
from weakref import WeakKeyDictionary, ref

_EARLY: Final = 0.001
"""Seconds by which a loop's clock may be coarse: uvloop's counts milliseconds."""


class Waiting(Protocol):
    """What waits for its time."""

    def due(self) -> object:
        """Called then."""
        ...


class Clock:
    """Tells each exchange of one loop when `seconds` have passed since it began.

    Nothing is left here of an exchange that has ended; the timer, which refers to none, runs out.
    """

    __slots__ = ("_context", "loop", "runs", "seconds", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop: ref[asyncio.AbstractEventLoop] = ref(loop)
        self.seconds: float = seconds
        self.runs: bool = False
        self.waiting: dict[Waiting, tuple[float, Context]] = {}
        """Whoever has not been told, and when and how it is to be; one that has ended goes."""
        self._context = Context()  # the timer is nobody's

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
    """Have `exchange.due()` called `seconds` from now, in the context of the caller.

    Unless it is taken out of `waiting` of the clock that this returns.
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

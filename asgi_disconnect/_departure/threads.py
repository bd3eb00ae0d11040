"""Threads of our own, so that handlers that hold all of anyio's threads do not hold us up.

Sync handlers may wait in all forty of anyio's default threads, and it may be our work that ends the
wait: reading on to see a client leave, or the callback that cancels a query.
"""

import functools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")

CallThreadsafe = Callable[[Callable[[], object]], None]
"""Calls a function on the event loop's thread, whatever thread this is."""


class Threads:
    """At most `count` threads on each event loop, for one purpose."""

    def __init__(self, name: str, count: int) -> None:
        self._count = count
        self._limiter: RunVar[CapacityLimiter] = RunVar(name)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function` in a thread, and return what it returns."""
        try:
            limiter = self._limiter.get()
        except LookupError:
            limiter = CapacityLimiter(self._count)
            self._limiter.set(limiter)
        # Until its next call, an idle anyio thread keeps its last one (4.7 at least), and with it a
        # request's body.
        calls = [functools.partial(function, *arguments)]
        return await to_thread.run_sync(lambda: calls.pop()(), limiter=limiter)


class AbandonableThreads:
    """The same for work that you may stop waiting for; work that hangs keeps its place.

    anyio's own limiter frees the place as soon as the wait is cancelled, though the thread runs on:
    each piece of work that hangs would cost one more thread.
    """

    def __init__(self, name: str, count: int) -> None:
        self.count = count
        self._places: RunVar[_Places] = RunVar(name)

    async def acquire(self, call_threadsafe: CallThreadsafe) -> "Place":
        """Wait for a place."""
        try:
            places = self._places.get()
        except LookupError:
            places = _Places(self.count)
            self._places.set(places)
        await places.acquire(call_threadsafe)
        return Place(places)


class Place:
    """A place for one thread."""

    __slots__ = ("_places", "begun")

    def __init__(self, places: "_Places") -> None:
        self._places = places
        self.begun: bool = False
        """Whether the function was called; known once `run` has returned or was cancelled."""

    async def run(self, function: Callable[[], T]) -> T:
        """Call `function` in a thread, and return what it returns; the place is free afterwards.

        If cancelled, this returns at once, and the place is free when the thread has returned.
        """
        work = _Work(self._places, function)
        try:
            return await to_thread.run_sync(
                work.call, limiter=CapacityLimiter(1), abandon_on_cancel=True
            )
        finally:
            self.begun = not work.give_up()


class _Work(Generic[T]):
    """What one thread does, unless it is given up before the thread begins."""

    def __init__(self, places: "_Places", function: Callable[[], T]) -> None:
        self._places = places
        self._function = function
        self._lock = threading.Lock()
        self._taken = False  # by the thread, or by the code that gives it up

    def call(self) -> T:
        if not self._take():
            raise RuntimeError("this has been given up")  # nobody sees this
        try:
            return self._function()
        finally:
            self._places.release()

    def give_up(self) -> bool:
        """Keep the thread from beginning; false if it has begun."""
        if not self._take():
            return False
        self._places.release()
        return True

    def _take(self) -> bool:
        with self._lock:
            taken, self._taken = self._taken, True
        return not taken


class _Places:
    """`count` places on one event loop, given back from any thread."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()
        self._waiting: deque[tuple[anyio.Event, CallThreadsafe]] = deque()

    async def acquire(self, call_threadsafe: CallThreadsafe) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            waiter = anyio.Event(), call_threadsafe
            self._waiting.append(waiter)
        try:
            await waiter[0].wait()
        except BaseException:
            with self._lock:
                waits = waiter in self._waiting
                if waits:
                    self._waiting.remove(waiter)
            if not waits:  # it got one while it was being cancelled
                self.release()
            raise

    def release(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            event, call_threadsafe = self._waiting.popleft()
        call_threadsafe(event.set)

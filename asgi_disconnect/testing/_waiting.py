"""What a test can wait for in both kinds of exchange.

Every wait has an end: when the app ends without doing what the test waits for, or when `patience`
is over.  The error then says what has happened so far, and what is probably wrong.
"""

import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import anyio

from ._server import PlayedServer

ServerT = TypeVar("ServerT", bound=PlayedServer)


class NeverHappened(AssertionError):
    """What a test waited for did not happen, or cannot.  Since 0.1."""


class Event(Protocol):
    """An event of anyio, asyncio or trio, or a `threading.Event`."""

    def wait(self) -> Any:
        """Wait for it."""


Signal = Event | Callable[[], Awaitable[Any]]
"""What `until` can wait for: an event, or an async function that returns when it is time."""


class Waiting(Generic[ServerT]):
    """What both kinds of client have in common."""

    def __init__(self, server: ServerT, patience: float) -> None:
        self._server = server
        self._patience = patience
        self._asked_for_result = False

    async def until(self, signal: Signal) -> None:
        """Return when the app gives the test's own signal.

        :param signal: an event, or an async function that returns when it is time.
        :raises NeverHappened: if the app ends before, or `patience` is over.
        """
        happened = False
        failure = None
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await self._server.until(lambda: self._server.ended)
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            with anyio.move_on_after(self._patience):
                try:
                    await _wait_for(signal, self._patience)
                    happened = True
                except Exception as error:  # the task group would wrap it
                    failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if not (happened or _is_set(signal)):
            raise self._never("gave the signal")

    async def until_working(self) -> None:
        """Return when the app, and whatever else runs, waits for something: for time to pass, a
        query, a thread, or the client.

        This is the moment to leave a handler that neither listens nor responds.  In a chain of
        short waits it may be any of them, and some frameworks use a thread before they call the
        handler (Django, and FastAPI for sync dependencies): use `until` there.
        """
        server = self._server
        await self._until("was called", lambda: server.called)
        with anyio.move_on_after(self._patience) as limit:
            await anyio.wait_all_tasks_blocked()
        if server.ended:
            raise self._never("waited for anything")
        if limit.cancelled_caught:
            raise NeverHappened(
                f"the app, or something else in this event loop, was busy for {self._patience:g} s"
                " without a pause: wait for your own signal, with until()."
            )

    async def until_receiving(self) -> None:
        """Return when the app waits in `receive()` and has got everything that was sent to it.

        `DisconnectMiddleware` waits there on the app's behalf.
        """
        server = self._server
        await self._until("waited in receive()", lambda: server.waits_for_client)

    async def see_to_end(self) -> None:
        """Leave, and wait for the app's end, as the end of the block does.

        Raises the error of an app that failed, unless the test has asked for its result.

        Since 0.2.
        """
        server = self._server
        server.leave()
        asked = self._asked_for_result
        await self._wait_for_end()
        if server.outcome == "failed" and server.exception is not None and not asked:
            raise server.exception

    async def _wait_for_end(self) -> None:
        self._asked_for_result = True
        server = self._server
        with anyio.move_on_after(self._patience):
            await server.until(lambda: server.ended)
        if not server.ended:
            if not server.gone:
                raise self._never("ended")
            await self._stop()

    async def _stop(self) -> None:
        server = self._server
        server.overran = True
        await server.stop_app()

    async def _until(self, what: str, condition: Callable[[], bool]) -> None:
        server = self._server
        if not condition():
            self._refuse_the_impossible(what)
        with anyio.move_on_after(self._patience):
            await server.until(lambda: condition() or self._is_hopeless)
        if not condition():
            raise self._never(what)

    @property
    def _is_hopeless(self) -> bool:
        """Nothing that a test waits for will happen any more."""
        return self._server.ended

    def _never(self, what: str) -> NeverHappened:
        server = self._server
        if server.ended:
            error = NeverHappened(f"the app ended before it {what}: {self._likely_end()}")
            error.__cause__ = server.exception
            return error
        return NeverHappened(
            f"the app has not {what} within {self._patience:g} s: {self._likely_wait()}"
        )

    def _refuse_the_impossible(self, what: str) -> None:
        """Fail at once, instead of after `patience` seconds, if it cannot happen."""
        raise NotImplementedError

    def _likely_end(self) -> str:
        """Why the app has ended, probably."""
        raise NotImplementedError

    def _likely_wait(self) -> str:
        """What the app waits for, probably."""
        raise NotImplementedError


def _is_set(signal: Signal) -> bool:
    """The app may give the signal in its last tick, before the wait has returned."""
    is_set: Any = getattr(signal, "is_set", bool)
    return bool(is_set())


async def _wait_for(signal: Signal, patience: float) -> None:
    wait: Any = getattr(signal, "wait", signal)
    if isinstance(signal, threading.Event):
        threads = anyio.CapacityLimiter(1)  # the app may use up all the others
        await anyio.to_thread.run_sync(
            signal.wait, patience, abandon_on_cancel=True, limiter=threads
        )
        return
    awaitable = wait()
    if not inspect.isawaitable(awaitable):
        raise TypeError(
            "until() takes an event, or an async function that returns when it is time;"
            f" {signal!r} returned {awaitable!r}"
        )
    await awaitable

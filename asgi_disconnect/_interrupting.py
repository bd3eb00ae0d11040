"""Stop what cannot be cancelled, such as a query in a thread, when the client leaves.

`Interruption` says when a thread interrupts it.  What must not be cancelled is left alone
(`critical()`, `ignore()`, `cancel=False`: contract §6).
"""

import inspect
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import anyio

from ._departure.departure import Departure
from ._departure.interruption import AGAIN_AFTER, Interruption
from ._disconnect import current_disconnect
from ._drivers import find_interrupt, find_session, follow_session


def interrupting(what: Any) -> AbstractContextManager[None]:
    """Interrupt what a block does with `what` when the client leaves.

    ::

        with pool.connection() as connection, interrupting(connection):
            connection.execute("select pg_sleep(60)")

    The query then fails with the driver's own error.  `what` is one of

    - a driver's connection: psycopg's, sqlite3's, aiosqlite's, or any object that has
      ``cancel_safe()``, ``interrupt()`` or ``cancel()``;
    - Django's ``connection``, or SQLAlchemy's ``Connection``;
    - SQLAlchemy's ``Session``, whose connections are interrupted from the moment that it takes
      them until it gives them back, however often it commits;
    - a function without arguments.  An async one is awaited, and must not take long; a plain one is
      called in a worker thread.

    The interruption is repeated every 0.1 seconds until the block ends, and never after that, so a
    connection must stay yours for the whole block (a session ensures that).  Nothing is interrupted
    in a `critical()` block, after `ignore()`, or with `cancel=False`.  Outside a guarded exchange
    the block runs like any other.  Since 0.2.

    :raises TypeError: if there is no way to interrupt `what`.
    """
    return _interrupting(what)


@contextmanager
def _interrupting(what: Any) -> Generator[None]:
    disconnect = current_disconnect(None)
    session = find_session(what)
    interrupt = find_interrupt(what) if session is None else None
    if disconnect is None:
        yield
        return
    departure = disconnect._departure()  # pyright: ignore[reportPrivateUsage]
    if interrupt is None:
        with (
            _interrupting_by_thread(departure) as interruption,
            follow_session(session, interruption.hold, interruption.release),
        ):
            yield
    elif inspect.iscoroutinefunction(interrupt):
        with _interrupting_in_task(departure, interrupt):
            yield
    else:
        with _interrupting_by_thread(departure) as interruption:
            interruption.hold(what, interrupt)
            yield


@contextmanager
def _interrupting_by_thread(departure: Departure) -> Generator[Interruption]:
    """The block, interrupted from a thread."""
    interruption = Interruption()
    departure.interruptions.append(interruption)
    handle = departure.add_callback(lambda: interruption.run(lambda: departure.interrupts))
    try:
        yield interruption
    finally:
        interruption.end()
        departure.remove_callback(handle)
        departure.interruptions.remove(interruption)


@contextmanager
def _interrupting_in_task(
    departure: Departure, interrupt: Callable[[], Awaitable[object]]
) -> Generator[None]:
    """The block in async code, where `interrupt` is awaited."""
    over = anyio.Event()

    async def interrupt_until_over() -> None:
        while not over.is_set():
            if departure.interrupts:
                await interrupt()
            with anyio.move_on_after(AGAIN_AFTER):
                await over.wait()

    handle = departure.add_callback(interrupt_until_over)
    try:
        yield
    finally:
        over.set()
        departure.remove_callback(handle)

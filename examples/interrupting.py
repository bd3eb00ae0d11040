"""Stop what cannot be cancelled, such as a query in a thread, when the client leaves.

Copy this into your project.  Most drivers have a function that makes another thread's query fail.
Called once, it may come too early, before the query has begun, or too late, when the connection
serves somebody else already.  So here it is called until the block is over, and not after::

    with interrupting(connection.cancel_safe):  # psycopg; sqlite3 has connection.interrupt
        connection.execute("select pg_sleep(60)")

and in async code, where only drivers need it whose own queries run in threads::

    with interrupting_async(connection.interrupt):  # aiosqlite
        await connection.execute(...)
"""

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio

from asgi_disconnect import current_disconnect


@contextmanager
def interrupting(interrupt: Callable[[], object]) -> Iterator[None]:
    """A block in which `interrupt` is called, in another thread, once the client has left."""
    busy = threading.Lock()
    over = threading.Event()

    def interrupt_until_over() -> None:
        while not over.is_set():
            with busy:
                if not over.is_set():
                    interrupt()
            over.wait(0.1)

    handle = current_disconnect().add_callback(interrupt_until_over)
    try:
        yield
    finally:
        with busy:
            over.set()
        handle.remove()


@contextmanager
def interrupting_async(interrupt: Callable[[], Awaitable[object]]) -> Iterator[None]:
    """The same for async code, where `interrupt` is awaited; it must not take long."""
    over = anyio.Event()

    async def interrupt_until_over() -> None:
        while not over.is_set():
            await interrupt()
            with anyio.move_on_after(0.1):
                await over.wait()

    handle = current_disconnect().add_callback(interrupt_until_over)
    try:
        yield
    finally:
        over.set()
        handle.remove()

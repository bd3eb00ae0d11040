"""Stop what blocks a thread, such as a query, when the client leaves: copy this into your project.

A thread cannot be cancelled, but most drivers have a function that makes another thread's query
fail.  Called once, it may come too early, before the query has begun, or too late, when the
connection serves somebody else already.  So here it is called until the block is over, and not
after::

    with interrupting(connection.cancel_safe):  # psycopg; sqlite3 has connection.interrupt
        connection.execute("select pg_sleep(60)")
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from asgi_disconnect import current_disconnect


@contextmanager
def interrupting(interrupt: Callable[[], object]) -> Iterator[None]:
    """A block in which `interrupt` is called, from another thread, once the client has left."""
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

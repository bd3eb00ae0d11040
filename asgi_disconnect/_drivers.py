"""Finds what interrupts a database connection from another thread.

It goes by the names that drivers, Django and SQLAlchemy use, and imports none of them.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakSet

Interrupt = Callable[[], object]

_NAMES: Final = ("cancel_safe", "interrupt", "cancel")
"""psycopg 3, whose `cancel` is older; sqlite3 and aiosqlite; psycopg2, oracledb and many others."""


def find_interrupt(what: Any) -> Interrupt:
    """The function that interrupts `what` when it is called from another thread.

    :raises TypeError: if there is none.
    """
    for each in _connections_in(what):
        for name in _NAMES:
            method: Interrupt | None = getattr(each, name, None)
            if callable(method):
                return method
    if callable(what):
        function: Interrupt = what
        return function
    raise TypeError(
        f"interrupting() needs a connection, a session, or a function to call, not {what!r},"
        " which has no cancel_safe(), interrupt() or cancel()"
    )


def _connections_in(what: Any) -> Iterator[Any]:
    """`what`, and the driver's connection inside it."""
    yield what
    driver = getattr(what, "driver_connection", None)  # SQLAlchemy's pools
    if driver is not None:
        yield driver
    inner = getattr(what, "connection", None)  # Django, SQLAlchemy
    if inner is None and hasattr(what, "ensure_connection"):  # Django, before its first query
        what.ensure_connection()
        inner = what.connection
    if inner is not None and not inspect.isroutine(inner):
        yield inner
        yield getattr(inner, "driver_connection", None)


# SQLAlchemy's sessions


def find_session(what: Any) -> Any:
    """SQLAlchemy's session, if `what` is one or a ``scoped_session``; else None."""
    orm = sys.modules.get("sqlalchemy.orm")
    if orm is None:
        return None
    if isinstance(what, orm.scoped_session):
        return what()
    return what if isinstance(what, orm.Session) else None


@contextmanager
def follow_session(
    session: Any, hold: Callable[[object, Interrupt], None], release: Callable[[object], None]
) -> Generator[None]:
    """Call `hold` with each connection that the session takes, `release` when it goes back."""
    event: Any = sys.modules["sqlalchemy.event"]
    held: list[Any] = []

    def take(_session: Any, _transaction: Any, connection: Any) -> None:
        driver = connection.connection.dbapi_connection
        _follow_pool(connection.engine.pool)
        with _lock:
            _released[id(driver)] = release
        held.append(driver)
        hold(driver, find_interrupt(driver))

    event.listen(session, "after_begin", take)
    try:
        if session.in_transaction():
            take(session, None, session.connection())
        yield
    finally:
        event.remove(session, "after_begin", take)
        with _lock:
            for driver in held:
                if _released.get(id(driver)) is release:
                    del _released[id(driver)]


_lock: Final = threading.Lock()
_released: Final[dict[int, Callable[[object], None]]] = {}
"""What to call when a connection goes back to its pool, before another request can have it."""
_followed: Final[WeakSet[Any]] = WeakSet()


def _follow_pool(pool: Any) -> None:
    event: Any = sys.modules["sqlalchemy.event"]
    with _lock:
        if pool not in _followed:
            event.listen(pool, "checkin", _check_in)
            _followed.add(pool)


def _check_in(driver: Any, _record: Any) -> None:
    with _lock:
        release = _released.pop(id(driver), None)
    if release is not None:
        release(driver)

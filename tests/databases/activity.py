"""What PostgreSQL says of itself: the one place where a test has to ask again and again.

A query's end is not an event that anybody could be told of: it is a row that is not there any more.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import psycopg

from .postgresql import PostgreSQL

PROMPTLY = 1.0
"""Seconds in which an abandoned query must be gone (issue 4, item 5)."""


class Activity:
    """A connection of its own, which looks at the others."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def rows(self, statement: str) -> list[Any]:
        return self._connection.execute(statement).fetchall()

    def running(self, mark: str) -> int:
        """How many connections run a query with `mark` in it."""
        return self._count(f"state = 'active' and query like '%{mark}%'")

    def idle_in_transaction(self) -> int:
        """How many connections have begun something that they do not go on with."""
        return self._count("state like 'idle in transaction%'")

    def connections(self) -> int:
        """How many there are beside this one."""
        return self._count("true")

    def entries(self, mark: str) -> int:
        """How many rows `mark` has left in the table."""
        return int(self.rows(f"select count(*) from entries where mark = '{mark}'")[0][0])

    @contextmanager
    def holding_back(self) -> Iterator[str]:
        """A statement that runs until the end of this block, in any connection but this one."""
        self.rows("select pg_advisory_lock(7)")
        try:
            yield "select pg_advisory_xact_lock(7)"
        finally:
            self.rows("select pg_advisory_unlock(7)")

    async def wait_until_running(self, mark: str) -> None:
        await self._wait_for(f"{mark} to run", lambda: self.running(mark) > 0, 10)

    async def wait_until_gone(self, mark: str) -> None:
        await self._wait_for(f"{mark} to be gone", lambda: not self.running(mark), PROMPTLY)

    async def wait_until_settled(self, connections: int) -> None:
        """Wait until no transaction is open, and no more than so many connections are there.

        What has been closed or rolled back takes PostgreSQL a while to be done with.
        """
        await self._wait_for("no open transaction", lambda: not self.idle_in_transaction(), 5)
        await self._wait_for("few", lambda: self.connections() <= connections, 5)

    def _count(self, condition: str) -> int:
        (row,) = self.rows(
            "select count(*) from pg_stat_activity where backend_type = 'client backend'"
            f" and pid <> pg_backend_pid() and {condition}"
        )
        return int(row[0])

    async def _wait_for(self, what: str, condition: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            # Read before the look, so that a stall during one is followed by another.
            now = time.monotonic()
            if condition():
                return
            assert now < deadline, (
                f"waited {seconds} s for {what}",
                self.rows("select pid, state, query from pg_stat_activity where state <> ''"),
            )
            await anyio.sleep(0.01)


@asynccontextmanager
async def observed(postgresql: PostgreSQL) -> AsyncIterator[Activity]:
    """PostgreSQL with an empty table, and nobody else connected."""
    with psycopg.connect(postgresql.url(), autocommit=True) as connection:
        activity = Activity(connection)
        connection.execute("drop table if exists entries")
        connection.execute("create table entries (id serial primary key, mark text)")
        yield activity
        await activity.wait_until_settled(connections=0)

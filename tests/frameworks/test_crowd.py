"""Departures come in crowds: a server's clients leave together (a proxy's restart, a lost network).

The bounds are the promise itself, and taken from the best of some runs.  What is measured is the
processor's time: the machine may have other work.
"""

import asyncio
import gc
import time

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, DisconnectReport

from ..backends import only_asyncio
from .connection import MANNERS, Connection
from .journal import Journal
from .stacks.work import Note, note_of_request

pytest.importorskip("starlette")

from .stacks.on_starlette import AddsHeader, app, handler

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence"), only_asyncio]

CROWD = 1000
RUNS = 3

LONGEST_TURN = 0.1
"""Seconds for which the loop may be held at a time."""

ALL_CANCELLED = 1.0
"""Seconds in which every handler has been cancelled."""

HUNG = 10.0
"""Seconds by the clock: only what waits in vain takes so long."""


class Crowd:
    """`CROWD` handlers behind a `BaseHTTPMiddleware`, whose clients leave in one tick."""

    def __init__(self) -> None:
        self._left_at = 0.0
        self._over = False
        self.journals: list[Journal] = []
        self.reports: list[DisconnectReport] = []
        self.cancelled_after: list[float] = []
        """Seconds after which each handler was."""
        self.longest_turn = 0.0

    async def leaves(self) -> None:
        guarded = DisconnectMiddleware(app(handler, AddsHeader), on_disconnect=self.reports.append)
        connections = [Connection(manner=MANNERS[number % 2]) for number in range(CROWD)]
        async with anyio.create_task_group() as tasks:
            for connection in connections:
                note_of_request.set(self._new_journal())
                tasks.start_soon(connection.serve, guarded)
            for connection, journal in zip(connections, self.journals, strict=True):
                await journal.noted("working")
                await connection.is_listened_to()
            gc.collect()
            gc.freeze()  # a full collection holds the loop for longer, departures or not
            try:
                for connection in connections:
                    connection.leave()
                self._left_at = time.thread_time()
                tasks.start_soon(self._measure_turns, self._left_at)
                with anyio.fail_after(HUNG):
                    for connection in connections:
                        await connection.has_ended()
                self._over = True
            finally:
                gc.unfreeze()

    def _new_journal(self) -> Note:
        journal = Journal()
        self.journals.append(journal)

        def note(what: str) -> None:
            journal.note(what)
            if what == "cleaning up":
                self.cancelled_after.append(time.thread_time() - self._left_at)

        return note

    async def _measure_turns(self, before: float) -> None:
        while not self._over:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest_turn = max(self.longest_turn, now - before)
            before = now


@pytest.mark.fast_guard
async def test_a_thousand_that_leave_in_one_tick_hold_the_loop_for_no_time() -> None:
    runs = []
    for _ in range(RUNS):
        crowd = Crowd()
        await crowd.leaves()
        for journal in crowd.journals:
            assert journal.notes == ["working", "cleaning up", "cleaned up"]
        assert {report.outcome for report in crowd.reports} == {"cancelled"}
        runs.append((crowd.longest_turn, max(crowd.cancelled_after)))
        if crowd.longest_turn <= LONGEST_TURN and runs[-1][1] <= ALL_CANCELLED:
            return
    raise AssertionError(f"longest turns, and until all were cancelled, in seconds: {runs}")

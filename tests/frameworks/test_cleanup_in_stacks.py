"""Cleanup finishes wherever a framework runs the user's code (contract §4.4).

Each stack (`stacks`) is abandoned at many moments, by one client after the other and by a crowd.
"""

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._report import DisconnectReport

from ..backends import only_asyncio
from .connection import MANNERS, Connection, serving
from .journal import Journal
from .stacks import STACKS, Stack, holds
from .stacks.work import ReportsErrors, note_of_request

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence"), only_asyncio]

MOMENTS = 20
"""At how many moments a request is left, each of three kinds of them."""


EXPECTED = {"working", "cleaning up", "cleaned up", "background began", "background ended"}


def rows(spec_version: str, which: Callable[[Stack], bool] | None = None) -> pytest.MarkDecorator:
    """The stacks as they are on a server that keeps to `spec_version`."""
    if which is None:

        def which(stack: Stack) -> bool:
            return not stack.collected and (stack.streams or spec_version == "2.3")

    return pytest.mark.parametrize(
        "stack",
        [
            pytest.param(
                stack,
                id=stack.name,
                marks=pytest.mark.fast_guard if holds(stack.in_group, spec_version) else (),
            )
            for stack in filter(which, STACKS)
        ],
    )


class Full(Connection):
    """Its server takes a piece of the response, and never says more of it."""

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)
        if message.get("body"):
            await anyio.sleep_forever()


class Guarded:
    """A stack with the middleware around it, and what became of its requests."""

    def __init__(self, stack: Stack, **options: Any) -> None:
        if stack.missing:
            pytest.skip(f"needs {stack.needs}")
        self.stack = stack
        self.reports: list[DisconnectReport] = []
        self.app = DisconnectMiddleware(
            ReportsErrors(stack.build()), on_disconnect=self.reports.append, **options
        )

    @property
    def outcomes(self) -> set[str]:
        return {report.outcome for report in self.reports}

    def connect(self, spec_version: str, manner: str) -> tuple[Connection, Journal]:
        """A request, and the journal to which its code tells what it does."""
        journal = Journal()
        note_of_request.set(journal.note)  # of the tasks that are started from here on
        connection = (Full if self.stack.collected else Connection)(
            self.stack.method,
            body=self.stack.body,
            headers=[(b"accept-encoding", b"gzip")],
            manner=manner,
            spec_version=spec_version,
            back_pressure=self.stack.fills,
        )
        return connection, journal


def assert_cleaned_up(journal: Journal) -> None:
    """Every cleanup that was begun has been finished, and nothing else was heard of."""
    counts = Counter(journal.notes)
    assert counts.keys() <= EXPECTED, journal
    assert counts["working"] == counts["cleaning up"] == counts["cleaned up"], journal
    assert counts["background began"] == counts["background ended"], journal


async def leave_at_any_tick(guarded: Guarded, spec_version: str) -> None:
    await leave_together(guarded, spec_version, crowd=1)  # sse-starlette starts a task for good
    for ticks in range(2 * MOMENTS):
        connection, journal = guarded.connect(spec_version, MANNERS[ticks % 2])
        async with serving(guarded.app, connection):
            for _ in range(ticks):
                await checkpoint()
            connection.leave()
            await connection.has_ended()
        assert_cleaned_up(journal)


async def leave_while_it_works(guarded: Guarded, spec_version: str) -> None:
    await leave_together(guarded, spec_version, crowd=1)
    for ticks in range(MOMENTS):
        connection, journal = guarded.connect(spec_version, MANNERS[ticks % 2])
        async with serving(guarded.app, connection):
            await journal.noted("working")
            for _ in range(ticks):
                await checkpoint()
            connection.leave()
            await connection.has_ended()
        assert_cleaned_up(journal)


async def leave_together(guarded: Guarded, spec_version: str, crowd: int = MOMENTS) -> None:
    """All of them in one tick."""
    requests = []
    async with anyio.create_task_group() as tasks:
        for number in range(crowd):
            requests.append(guarded.connect(spec_version, MANNERS[number % 2]))
            tasks.start_soon(requests[-1][0].serve, guarded.app)
        for connection, journal in requests:
            await journal.noted("working")
            await connection.is_listened_to()
        for connection, _ in requests:
            connection.leave()
    for connection, journal in requests:
        await connection.has_ended()
        assert_cleaned_up(journal)


@pytest.fixture(params=[leave_at_any_tick, leave_while_it_works, leave_together])
def leave(request: pytest.FixtureRequest) -> Any:
    return request.param


@rows("2.3")
async def test_cleanup_finishes_in_every_stack(stack: Stack, leave: Any) -> None:
    await check(stack, leave, "2.3")


@rows("2.4")
async def test_cleanup_finishes_in_streams_on_newer_servers(stack: Stack, leave: Any) -> None:
    """Starlette does not listen there, and waits for an error of `send` that never comes."""
    await check(stack, leave, "2.4")


async def check(stack: Stack, leave: Any, spec_version: str) -> None:
    guarded = Guarded(stack, **({} if leave is leave_together else {"watch_after": 0}))
    await leave(guarded, spec_version)
    # Who listens is told, who does not is cancelled; in its first ticks nobody listens.
    expected = {"told"} if holds(stack.listens, spec_version) else {"cancelled"}
    assert guarded.outcomes >= expected
    if leave is leave_at_any_tick:
        assert guarded.outcomes <= {"told", "cancelled"}
    else:
        assert guarded.outcomes == expected


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@rows("2.3", which=lambda stack: stack.collected)
async def test_a_generator_left_at_its_yield_is_closed_to_its_end(
    stack: Stack, spec_version: str
) -> None:
    """It is asyncio that closes it, once it is collected."""
    guarded = Guarded(stack, watch_after=0)
    for ticks in range(MOMENTS):
        connection, journal = guarded.connect(spec_version, MANNERS[ticks % 2])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.serve, guarded.app)
            await journal.noted("working")
            for _ in range(ticks):
                await checkpoint()
            connection.leave()
        await connection.has_ended()
        gc.collect()
        await journal.noted("cleaned up")
        assert_cleaned_up(journal)


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
@rows("2.3", which=lambda stack: stack.background)
async def test_the_background_work_of_an_abandoned_stream_runs_as_it_does_unguarded(
    stack: Stack, spec_version: str, manner: str
) -> None:
    heard = []
    guarded = Guarded(stack)
    for app in stack.build(), guarded.app:
        connection, journal = guarded.connect(spec_version, manner)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.serve, app)
            await journal.noted("working")
            if app is guarded.app:
                await connection.is_listened_to()
            connection.leave()
            if app is not guarded.app and not holds(stack.listens, spec_version):
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()  # as servers do, late
        heard.append([what for what in journal.notes if what.startswith("background")])
    assert heard[0] == heard[1]
    assert bool(heard[0]) == holds(stack.listens, spec_version)

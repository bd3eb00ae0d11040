"""Cleanup in the app's own anyio groups, where they are used in other ways (contract §4.4, §4.5).

When and in what order a group cancels its tasks stays the app's affair.  Each is cancelled once,
and then has what is left of `cleanup_timeout`; what is not cancelled because of the departure is
not touched.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect import DisconnectMiddleware, DisconnectReport, current_disconnect

from ..backends import only_asyncio
from .connection import Connection, serving
from .journal import Journal
from .stacks.work import ReportsErrors, clean_up, note_of_request, work_and_tell
from .waiting import LIMIT

pytest.importorskip("starlette")

from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response

from .stacks.on_starlette import AddsHeader, app, handler, stream, stream_in_send

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence"), only_asyncio]

App = Callable[..., Any]


class Abandoned:
    """One request and what becomes of it; `app` is what is guarded."""

    def __init__(self, manner: str) -> None:
        self.journal = Journal()
        note_of_request.set(self.journal.note)
        self.connection = Connection(manner=manner)
        self.reports: list[DisconnectReport] = []

    def guard(self, app: App, **options: Any) -> Any:
        return DisconnectMiddleware(app, on_disconnect=self.reports.append, **options)

    def named(self, name: str) -> Callable[[str], None]:
        """Notes for one of several tasks."""
        return lambda what: self.journal.note(f"{name} {what}")

    async def leaves(self, *when: str) -> None:
        """Leave once all that has been noted."""
        for what in when:
            await self.journal.noted(what)
        await self.connection.is_listened_to()
        self.connection.leave()

    @property
    def notes(self) -> list[str]:
        return self.journal.notes

    @property
    def outcome(self) -> str:
        (report,) = self.reports
        return report.outcome


@pytest.fixture
async def request_(manner: str) -> Abandoned:
    return Abandoned(manner)


def as_it_is(app: App) -> App:
    return app


@pytest.fixture(params=[as_it_is, AddsHeader], ids=["alone", "base1"])
def around(request: pytest.FixtureRequest) -> Callable[[App], App]:
    """What is around the app: nothing, or a `BaseHTTPMiddleware`."""
    place: Callable[[App], App] = request.param
    return place


# In what order


@pytest.mark.fast_guard
async def test_a_helper_helps_until_its_host_has_cleaned_up(
    request_: Abandoned, around: Any
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work_and_tell, request_.named("helper"))
            await request_.journal.noted("helper working")
            await work_and_tell(request_.named("host"))

    async with serving(request_.guard(around(app)), request_.connection):
        await request_.leaves("host working")
        await request_.connection.has_ended()
    assert request_.notes[2:] == [
        *("host cleaning up", "host cleaned up"),
        *("helper cleaning up", "helper cleaned up"),
    ]
    assert request_.outcome == "cancelled"


@pytest.mark.fast_guard
async def test_a_helper_without_cleanup_keeps_nothing_from_its_host(request_: Abandoned) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await work_and_tell(request_.journal.note)

    async with serving(request_.guard(app), request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes == ["working", "cleaning up", "cleaned up"]
    assert request_.outcome == "cancelled"


@pytest.mark.fast_guard
async def test_nested_groups_end_from_the_inside(request_: Abandoned, around: Any) -> None:
    async def host(*names: str) -> None:
        note = request_.named(names[0])
        try:
            async with anyio.create_task_group() as tasks:
                if names[1:]:
                    tasks.start_soon(host, *names[1:])
                else:
                    request_.journal.note("working")
                await anyio.sleep_forever()
        finally:
            await clean_up(note)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host, "outer", "middle", "inner")

    async with serving(request_.guard(around(app)), request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes[1:] == [
        *("inner cleaning up", "inner cleaned up"),
        *("middle cleaning up", "middle cleaned up"),
        *("outer cleaning up", "outer cleaned up"),
    ]
    assert request_.outcome == "cancelled"


@pytest.mark.fast_guard
async def test_a_group_within_the_cleanup_of_a_child_works(
    request_: Abandoned, around: Any
) -> None:
    note = request_.journal.note

    async def child() -> None:
        note("working")
        try:
            await anyio.sleep_forever()
        finally:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(clean_up, request_.named("first"))
                tasks.start_soon(clean_up, request_.named("second"))
            await clean_up(request_.named("last"))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)

    async with serving(request_.guard(around(app)), request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert sorted(request_.notes[:5]) == [
        *("first cleaned up", "first cleaning up"),
        *("second cleaned up", "second cleaning up"),
        "working",
    ]
    assert request_.notes[5:] == ["last cleaning up", "last cleaned up"]
    assert request_.outcome == "cancelled"


# Whose cancellation it is


async def test_a_group_that_its_own_app_has_cancelled_before_ends_as_ever(
    request_: Abandoned, around: Any
) -> None:
    """Its child is still in its cleanup, which it shields, when the client leaves."""
    note, journal = request_.journal.note, request_.journal

    async def child() -> None:
        note("child working")
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                note("child cleaning up")
                await journal.leave_to("end")
                note("child cleaned up")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            await journal.noted("child working")
            tasks.cancel_scope.cancel()

    async with serving(request_.guard(around(app)), request_.connection):
        await request_.leaves("child cleaning up")
        await anyio.wait_all_tasks_blocked()
        assert not request_.connection.over
        journal.allow("end")
        await request_.connection.has_ended()
    assert request_.notes == ["child working", "child cleaning up", "child cleaned up"]
    assert request_.outcome == "cancelled"


async def test_a_group_that_its_own_app_has_ended_before_is_no_matter(
    request_: Abandoned,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await checkpoint()
            tasks.cancel_scope.cancel()
        await work_and_tell(request_.journal.note)

    async with serving(request_.guard(app), request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes == ["working", "cleaning up", "cleaned up"]
    assert request_.outcome == "cancelled"


async def test_what_runs_in_a_group_of_the_application_is_not_cancelled(
    request_: Abandoned, around: Any
) -> None:
    """And when the application ends it is cancelled as anyio cancels: at every await."""
    note, journal = request_.journal.note, request_.journal

    async def long_lived() -> None:
        note("long-lived")
        try:
            await journal.leave_to("go on")
            note("went on")
            await anyio.sleep_forever()
        finally:
            for _ in range(2):
                try:
                    await checkpoint()
                except asyncio.CancelledError:
                    note("cancelled again")
                    continue

    async with anyio.create_task_group() as of_the_application:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            of_the_application.start_soon(long_lived)
            await journal.noted("long-lived")
            await work_and_tell(note)

        async with anyio.create_task_group() as server:
            server.start_soon(request_.connection.serve, request_.guard(around(app)))
            await request_.leaves("working")
            await request_.connection.has_ended()
        assert "cancelled again" not in request_.notes
        journal.allow("go on")
        await journal.noted("went on")
        of_the_application.cancel_scope.cancel()
    assert request_.notes[-3:] == ["went on", "cancelled again", "cancelled again"]
    assert request_.outcome == "cancelled"


@pytest.mark.fast_guard
@pytest.mark.parametrize("of", ["anyio", "asyncio"])
async def test_a_timeout_within_the_cleanup_of_a_child_is_its_own(
    request_: Abandoned, around: Any, of: str
) -> None:
    note = request_.journal.note

    async def time_out() -> None:
        if of == "anyio":
            with anyio.fail_after(0.001):
                await anyio.sleep_forever()
        else:
            async with asyncio.timeout(0.001):
                await anyio.sleep_forever()

    async def child() -> None:
        note("working")
        try:
            await anyio.sleep_forever()
        finally:
            for _ in range(2):
                try:
                    await time_out()
                except TimeoutError:
                    note("timed out")
            await clean_up(note)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)

    async with serving(request_.guard(around(app)), request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes == ["working", "timed out", "timed out", "cleaning up", "cleaned up"]
    assert request_.outcome == "cancelled"


@pytest.mark.fast_guard
async def test_a_child_that_is_cancelled_by_another_task_is_cancelled(request_: Abandoned) -> None:
    """By `Task.cancel()`, after the departure and before its group comes to it, and after that."""
    note, journal = request_.journal.note, request_.journal
    children: list[asyncio.Task[Any]] = []

    async def child() -> None:
        children.append(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError as error:
            note(f"cancelled: {error}")
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError as again:
                note(f"cancelled: {again}")
                raise

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            try:
                note("working")
                await anyio.sleep_forever()
            finally:
                note("cleaning up")
                await journal.leave_to("go on")

    async with serving(request_.guard(app, cleanup_timeout=math.inf), request_.connection):
        await request_.leaves("working")
        await journal.noted("cleaning up")
        children[0].cancel("somebody else's")
        await journal.noted("cancelled: somebody else's")
        children[0].cancel("again")
        await journal.noted("cancelled: again")
        journal.allow("go on")
        await request_.connection.has_ended()


@pytest.mark.fast_guard
@pytest.mark.parametrize("by", ["scope", "task"])
@pytest.mark.parametrize("host", ["waits", "works"])
async def test_a_cancellation_of_others_passes_while_children_clean_up(
    request_: Abandoned, around: Any, host: str, by: str
) -> None:
    """At once, as what it is; the children are then cancelled as anyio cancels, at every await."""
    note, journal = request_.journal.note, request_.journal

    async def child() -> None:
        note("working")
        try:
            await anyio.sleep_forever()
        finally:
            note("cleaning up")
            for _ in range(3):
                try:
                    await anyio.sleep_forever()
                except asyncio.CancelledError:
                    note("cut short")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            if host == "works":
                await anyio.sleep_forever()

    guarded = request_.guard(around(app), cleanup_timeout=math.inf)
    connection, scope = request_.connection, anyio.CancelScope()

    async def call() -> None:
        with scope:
            await guarded(connection.scope, connection.receive, connection.send)

    task = asyncio.create_task(call())
    await request_.leaves("working")
    await journal.noted("cleaning up")
    await anyio.wait_all_tasks_blocked()
    assert "cut short" not in request_.notes
    if by == "scope":
        scope.cancel()
    else:
        task.cancel()
    await asyncio.wait([task], timeout=LIMIT)
    assert request_.notes == ["working", "cleaning up", *["cut short"] * 3]
    if by == "scope":
        assert scope.cancelled_caught
        assert task.result() is None
    else:
        assert task.cancelled()


@pytest.mark.fast_guard
@pytest.mark.parametrize("by", ["scope", "scope, and its host in a shield", "task"])
async def test_a_cancellation_of_others_before_ours_cancels_as_ever(
    request_: Abandoned, around: Any, by: str
) -> None:
    """The app has been told, and has its grace: nothing of ours cancels."""
    note, journal = request_.journal.note, request_.journal

    async def child() -> None:
        for _ in range(4):
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError as error:
                note("cancelled by us" if "the client" in str(error) else "cancelled")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            while (await receive())["type"] != "http.disconnect":
                note("working")
            note("told")
            with anyio.CancelScope(shield="shield" in by):
                await journal.noted("cancelled")
            await anyio.sleep_forever()

    guarded = request_.guard(around(app), cleanup_timeout=math.inf, grace=math.inf)
    connection, scope = request_.connection, anyio.CancelScope()

    async def call() -> None:
        with scope:
            await guarded(connection.scope, connection.receive, connection.send)

    task = asyncio.create_task(call())
    await request_.leaves("working")
    await journal.noted("told")
    if by == "task":
        task.cancel()
    else:
        scope.cancel()
    await asyncio.wait([task], timeout=LIMIT)
    assert request_.notes == ["working", "told", *["cancelled"] * 4]
    assert task.cancelled() if by == "task" else scope.cancelled_caught


@pytest.mark.fast_guard
@pytest.mark.parametrize("first", ["waits", "is about to run", "is in its cleanup"])
async def test_a_child_that_its_app_cancels_by_its_handle_is_the_apps_affair(
    request_: Abandoned, first: str
) -> None:
    """As anyio cancels, and nobody but that child; and an await of its cleanup never spins."""
    note, journal = request_.journal.note, request_.journal
    given = asyncio.Event()

    async def child() -> None:
        try:
            await given.wait()
            note("given")
            await anyio.sleep_forever()
        finally:
            note("cleaning up")
            try:
                if first == "is in its cleanup":
                    await anyio.sleep_forever()
                await checkpoint()
            finally:
                async with anyio.Lock():
                    note("not reached")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            handle = tasks.start_soon(child)
            while (await receive())["type"] != "http.disconnect":
                note("working")
            if first == "is about to run":
                given.set()
            if first == "is in its cleanup":
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await journal.noted("cleaning up")
            handle.cancel()
            with anyio.CancelScope(shield=True):
                await handle.wait()
            if first != "is in its cleanup":
                await checkpoint()
            note("went on")

    guarded = request_.guard(app, cleanup_timeout=math.inf, grace=math.inf)
    async with serving(guarded, request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    given_first = ["given"] if first == "is about to run" else []
    assert request_.notes == ["working", *given_first, "cleaning up", "went on"]
    assert request_.outcome == "told"


# How long


@pytest.mark.fast_guard
async def test_a_child_that_swallows_its_cancellation_is_cancelled_for_good(
    request_: Abandoned, around: Any
) -> None:
    note = request_.journal.note

    async def child() -> None:
        note("working")
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            note("swallowed")
        try:
            await anyio.sleep_forever()
        finally:
            note("cancelled for good")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)

    guarded = request_.guard(around(app), cleanup_timeout=0.05)
    async with serving(guarded, request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes == ["working", "swallowed", "cancelled for good"]
    assert request_.outcome == "overran"


async def test_without_time_for_cleanup_children_are_cancelled_as_anyio_cancels(
    request_: Abandoned, around: Any
) -> None:
    note = request_.journal.note

    async def child() -> None:
        note("working")
        try:
            await anyio.sleep_forever()
        finally:
            for _ in range(3):
                try:
                    await anyio.sleep_forever()
                except asyncio.CancelledError:
                    note("cut short")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)

    async with serving(request_.guard(around(app), cleanup_timeout=0), request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes == ["working", *["cut short"] * 3]


@pytest.mark.parametrize("by", ["cancel=False", "ignore()"])
async def test_an_app_that_is_not_to_be_cancelled_cancels_its_groups_as_anyio_cancels(
    request_: Abandoned, by: str
) -> None:
    """As if we were not there: the app's own doing, though its client has left."""
    note = request_.journal.note

    async def child() -> None:
        for _ in range(3):
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                note("cancelled")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if by == "ignore()":
            current_disconnect().ignore()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            while (await receive())["type"] != "http.disconnect":
                note("working")
            tasks.cancel_scope.cancel()

    guarded = request_.guard(app, cancel=by == "ignore()")
    async with serving(guarded, request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes == ["working", *["cancelled"] * 3]
    assert request_.outcome == "ignored"


async def test_a_child_inside_a_shield_of_its_own_is_reached_after_it(
    request_: Abandoned, around: Any
) -> None:
    note, journal = request_.journal.note, request_.journal

    async def child() -> None:
        with anyio.CancelScope(shield=True):
            note("shielded")
            await journal.leave_to("end")
            note("done")
        try:
            await anyio.sleep_forever()
        finally:
            note("cancelled")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)

    async with serving(request_.guard(around(app)), request_.connection):
        await request_.leaves("shielded")
        await anyio.wait_all_tasks_blocked()
        assert not request_.connection.over
        journal.allow("end")
        await request_.connection.has_ended()
    assert request_.notes == ["shielded", "done", "cancelled"]
    assert request_.outcome == "cancelled"


@pytest.mark.fast_guard
async def test_the_cleanup_of_a_child_that_was_in_a_shield_finishes(
    request_: Abandoned, around: Any
) -> None:
    async def child() -> None:
        try:
            with anyio.CancelScope(shield=True):
                request_.journal.note("working")
                await request_.journal.leave_to("end")
            await anyio.sleep_forever()
        finally:
            await clean_up(request_.journal.note)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)

    async with serving(request_.guard(around(app)), request_.connection):
        await request_.leaves("working")
        await anyio.wait_all_tasks_blocked()
        request_.journal.allow("end")
        await request_.connection.has_ended()
    assert request_.notes == ["working", "cleaning up", "cleaned up"]


# What ends in the same tick, and what goes wrong


@pytest.mark.fast_guard
@pytest.mark.parametrize("ticks", range(4))
@pytest.mark.parametrize("first", ["child", "client"])
async def test_a_child_that_ends_as_the_client_leaves_ends_or_cleans_up(
    request_: Abandoned, around: Any, first: str, ticks: int
) -> None:
    journal = request_.journal

    async def child() -> None:
        note = request_.named("child")
        note("working")
        try:
            await journal.leave_to("end")
        except asyncio.CancelledError:
            await clean_up(note)
            raise
        note("ended")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
        await work_and_tell(request_.named("host"))

    async with serving(request_.guard(around(app), watch_after=0), request_.connection):
        await journal.noted("child working")
        await request_.connection.is_listened_to()
        if first == "child":
            journal.allow("end")
            for _ in range(ticks):
                await checkpoint()
            request_.connection.leave()
        else:
            request_.connection.leave()
            for _ in range(ticks):
                await checkpoint()
            journal.allow("end")
        await request_.connection.has_ended()
    counts = Counter(request_.notes)
    assert counts["child cleaning up"] == counts["child cleaned up"] == 1 - counts["child ended"]
    assert counts["host working"] == counts["host cleaning up"] == counts["host cleaned up"]
    assert request_.outcome == "cancelled"


@pytest.mark.fast_guard
async def test_what_a_child_raises_in_its_cleanup_stays_out_of_the_log(
    request_: Abandoned, around: Any
) -> None:
    async def child() -> None:
        try:
            await work_and_tell(request_.journal.note)
        finally:
            raise ValueError("the app's own")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)

    async with serving(request_.guard(around(app)), request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes == ["working", "cleaning up", "cleaned up"]
    assert request_.outcome == "cancelled"


# What servers have their apps wait for


class OneCallback:
    """A future as granian's are: it calls back the one who has asked last."""

    _asyncio_future_blocking = False  # by which asyncio knows a future

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._callbacks: list[Callable[[], object]] = []
        self._done = False

    def __await__(self) -> Any:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self

    __iter__ = __await__

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def done(self) -> bool:
        return self._done

    def result(self) -> None:
        return None

    def cancel(self, msg: object = None) -> bool:
        return False

    def add_done_callback(self, callback: Any, *, context: Any = None) -> None:
        self._callbacks.append(lambda: self._loop.call_soon(callback, self, context=context))

    def complete(self) -> None:
        self._done = True
        self._callbacks[-1]()

    def rescue(self) -> None:
        """Call back whoever asked first, so that a test that fails ends."""
        self._callbacks[0]()


class WithRoom(Connection):
    """Its server has room for the first piece of the response, and waits with such a future."""

    def __init__(self, manner: str) -> None:
        super().__init__(manner=manner)
        self.room = OneCallback()

    async def send(self, message: dict[str, Any]) -> None:
        await super().send(message)
        if message.get("body"):
            await self.room


@pytest.mark.fast_guard
async def test_an_app_that_waits_for_what_knows_one_callback_is_still_woken(
    request_: Abandoned, manner: str
) -> None:
    """The app's own task is in the server's `send` while a task of its group is cancelled."""
    request_.connection = connection = WithRoom(manner)
    guarded = request_.guard(app(stream_in_send, AddsHeader), grace=math.inf)
    async with serving(guarded, connection):
        await connection.has_sent(b"\0")
        await request_.leaves("working")
        await request_.journal.noted("cleaned up")
        await anyio.wait_all_tasks_blocked()
        connection.room.complete()
        try:
            await connection.has_ended()
        finally:
            if not connection.over:
                connection.room.rescue()
    assert request_.notes == ["working", "cleaning up", "cleaned up"]
    assert request_.outcome == "told"


# What users have around it


class HasGroup(BaseHTTPMiddleware):
    """One that does something else meanwhile."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        note = note_of_request.get()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work_and_tell, lambda what: note(f"beside: {what}"))
            response: Response = await call_next(request)
            tasks.cancel_scope.cancel()
        return response


class Catches(BaseHTTPMiddleware):
    """One that turns whatever is raised into a response."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        try:
            response: Response = await call_next(request)
        except Exception as error:
            note_of_request.get()(f"error: caught {error!r}")
            return Response(status_code=500)
        return response


@pytest.mark.fast_guard
@pytest.mark.parametrize("layers", [[HasGroup], [HasGroup, AddsHeader], [AddsHeader, HasGroup]])
async def test_a_middleware_with_a_group_of_its_own_cleans_up(
    request_: Abandoned, layers: list[Any]
) -> None:
    async with serving(request_.guard(app(handler, *layers)), request_.connection):
        await request_.leaves("working", "beside: working")
        await request_.connection.has_ended()
    assert sorted(request_.notes) == sorted(
        [
            *("working", "cleaning up", "cleaned up"),
            *("beside: working", "beside: cleaning up", "beside: cleaned up"),
        ]
    )
    assert request_.outcome == "cancelled"


@pytest.mark.fast_guard
@pytest.mark.parametrize(("endpoint", "outcome"), [(handler, "cancelled"), (stream, "told")])
@pytest.mark.parametrize(
    "layers",
    [
        [ReportsErrors, AddsHeader],
        [AddsHeader, ReportsErrors],
        [Catches],
        [Catches, ReportsErrors, AddsHeader],
        [AddsHeader, ReportsErrors, Catches],
    ],
)
async def test_who_looks_for_errors_sees_none(
    request_: Abandoned, layers: list[Any], endpoint: Any, outcome: str
) -> None:
    """Neither an error tracker nor a user's own page for errors, wherever it is."""
    async with serving(request_.guard(app(endpoint, *layers)), request_.connection):
        await request_.leaves("working")
        await request_.connection.has_ended()
    assert request_.notes == ["working", "cleaning up", "cleaned up"]
    assert request_.outcome == outcome

"""Starlette: threads, files, streams, and `BaseHTTPMiddleware` inside the middleware."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect import DisconnectMiddleware, DisconnectReport, current_disconnect

from .connection import RAISES, Connection, exchange, serving
from .generators import left_to_be_collected
from .journal import Journal

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("silence"),
    left_to_be_collected,
]

Place = Callable[..., Any]

color: ContextVar[str] = ContextVar("color", default="none")


def outermost(endpoint: Any, *inside: Middleware, **options: Any) -> Any:
    return DisconnectMiddleware(bare(endpoint, *inside), **options)


def in_the_stack(endpoint: Any, *inside: Middleware, **options: Any) -> Any:
    return bare(endpoint, Middleware(DisconnectMiddleware, **options), *inside)


def on_the_route(endpoint: Any, *inside: Middleware, **options: Any) -> Any:
    middleware = [Middleware(DisconnectMiddleware, **options), *inside]
    return Starlette(routes=[Route("/", endpoint, methods=["GET", "POST"], middleware=middleware)])


def around_a_mounted_app(endpoint: Any, *inside: Middleware, **options: Any) -> Any:
    return Starlette(routes=[Mount("/", outermost(endpoint, *inside, **options))])


def bare(endpoint: Any, *inside: Middleware) -> Any:
    routes = [Route("/", endpoint, methods=["GET", "POST"])]
    return Starlette(routes=routes, middleware=list(inside))


@pytest.fixture(params=[outermost, in_the_stack, on_the_route, around_a_mounted_app])
def around(request: pytest.FixtureRequest) -> Place:
    """Where the middleware is: `around(endpoint, *middleware inside, **options)` is the app."""
    place: Place = request.param
    return place


class Passes(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response


class Diary:
    """A hook that keeps what it hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, report: DisconnectReport) -> None:
        self.lines.append(report.outcome)

    def on_leave(self, scope: Any) -> None:
        self.lines.append("leaves")

    def on_stop(self, scope: Any) -> None:
        self.lines.append("stops")


async def test_a_sync_endpoint_runs_to_its_end_and_is_waited_for(
    around: Place, manner: str
) -> None:
    journal = Journal()

    def endpoint(request: Request) -> Response:
        journal.note("started")
        journal.block()
        journal.note("finished")
        return Response(b"for nobody")

    connection = Connection(manner=manner)
    async with serving(around(endpoint), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        assert not connection.over
        journal.release()
        await connection.has_ended()
        assert journal.notes == ["started", "finished"]


@pytest.mark.parametrize("inside", [(), (Middleware(Passes),)], ids=["plain", "http-middleware"])
async def test_a_sync_endpoint_that_runs_on_is_seen_to_and_overruns(
    around: Place, manner: str, inside: tuple[Middleware, ...]
) -> None:
    hook, journal = Diary(), Journal()

    def endpoint(request: Request) -> Response:
        journal.note("started")
        journal.block()
        return Response(b"for nobody")

    connection = Connection(manner=manner)
    app = around(endpoint, *inside, grace=0, cleanup_timeout=0, on_disconnect=hook)
    async with serving(app, connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        assert hook.lines == ["leaves"]
        journal.release()
        await connection.has_ended()
    assert hook.lines == ["leaves", "stops", "overran"]


async def test_a_sync_background_task_finishes(around: Place, manner: str) -> None:
    journal = Journal()

    def work(name: str) -> None:
        journal.note(f"{name} started")
        journal.block()
        journal.note(f"{name} finished")

    async def endpoint(request: Request) -> Response:
        tasks = BackgroundTasks()
        tasks.add_task(work, "first")
        tasks.add_task(work, "second")
        return Response(b"done", background=tasks)

    connection = Connection(manner=manner)
    async with serving(around(endpoint, watch_after=0), connection):
        await journal.noted("first started")
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        journal.release()
        await connection.has_ended()
    assert journal.notes == ["first started", "first finished", "second started", "second finished"]


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_stream_from_a_sync_generator_stops(
    around: Place, manner: str, spec_version: str
) -> None:
    journal = Journal()

    def numbers() -> Iterator[str]:
        yield "one"
        journal.note("started")
        journal.block()
        yield "two"
        journal.note("went on")

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(numbers())

    connection = Connection(manner=manner, spec_version=spec_version)
    async with serving(around(endpoint), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        assert not connection.over
        journal.release()
        await connection.has_ended()
    assert journal.notes == ["started"]
    assert connection.body == b"one"


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_stream_stops_whether_it_listens_or_not(
    around: Place, manner: str, spec_version: str
) -> None:
    """From specification 2.4 on Starlette waits for `send` to raise, which no server does."""
    journal = Journal()

    async def ticks() -> AsyncIterator[bytes]:
        try:
            yield b"tick"
            await anyio.sleep_forever()
        finally:
            journal.note("finally")

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(ticks())

    connection = Connection(manner=manner, spec_version=spec_version)
    async with serving(around(endpoint), connection):
        await connection.has_sent(b"tick")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["finally"]


async def test_a_send_that_raises_ends_a_stream_as_it_does_unwrapped(around: Place) -> None:
    async def ticks() -> AsyncIterator[bytes]:
        yield b"tick"
        while True:
            await checkpoint()
            yield b"tock"

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(ticks())

    errors = []
    for app in bare(endpoint), around(endpoint, watch_after=10):
        connection = Connection(manner=RAISES, spec_version="2.4")
        async with serving(app, connection):
            await connection.has_sent(b"tock")
            connection.leave()
            await connection.is_over()
        errors.append(type(connection.error))
    assert errors == [ClientDisconnect, ClientDisconnect]


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(range(256)) * 4096)
    return path


@pytest.mark.parametrize("headers", [(), [(b"range", b"bytes=1000-2000")]])
@pytest.mark.parametrize("extensions", [None, {"http.response.pathsend": {}}])
async def test_a_file_is_sent_as_unwrapped(
    around: Place, large_file: Path, headers: Any, extensions: Any, manner: str
) -> None:
    sent = []
    journal = Journal()
    journal.allow("finish")

    async def work() -> None:
        await checkpoint()
        journal.note("finished")

    async def endpoint(request: Request) -> Response:
        return FileResponse(large_file, background=BackgroundTask(work))

    for app in bare(endpoint), around(endpoint, watch_after=0):
        connection = Connection(headers=headers, extensions=extensions, manner=manner)
        await exchange(app, connection)
        assert connection.complete
        sent.append(connection.sent)
    assert sent[0] == sent[1]
    assert journal.notes == ["finished", "finished"]


async def test_a_file_that_nobody_takes_is_not_read_on(
    around: Place, large_file: Path, manner: str
) -> None:
    async def endpoint(request: Request) -> Response:
        return FileResponse(large_file)

    connection = Connection(manner=manner, back_pressure=True)
    async with serving(around(endpoint), connection):
        await connection.has_sent(b"\x00\x01")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert len(connection.dropped) < 5  # of 16: the client's departure wakes send(), too


async def test_who_reads_the_body_is_told(around: Place, manner: str) -> None:
    journal = Journal()

    async def endpoint(request: Request) -> Response:
        pieces = []
        try:
            async for piece in request.stream():
                pieces.append(piece)
        except ClientDisconnect:
            journal.note(f"told after {b''.join(pieces)!r}")
            raise
        return Response()

    connection = Connection("POST", body=b"half", complete=False, manner=manner)
    async with serving(around(endpoint), connection):
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["told after b'half'"]


async def test_a_stream_of_the_body_is_told_after_the_watcher_has_read_it(
    around: Place, manner: str
) -> None:
    journal = Journal()

    async def endpoint(request: Request) -> Response:
        stream = request.stream()
        journal.note(f"read {await stream.__anext__()!r}")
        await journal.leave_to("read on")
        journal.note(f"read {await stream.__anext__()!r}")
        with pytest.raises(ClientDisconnect):
            await stream.__anext__()
        journal.note("told")
        return Response()

    connection = Connection("POST", body=[b"one", b"two"], complete=False, manner=manner)
    async with serving(around(endpoint), connection):
        await journal.noted("read b'one'")
        await connection.is_listened_to()
        journal.allow("read on")
        await journal.noted("read b'two'")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["read b'one'", "read b'two'", "told"]


async def test_is_disconnected_after_the_body_says_true(around: Place, manner: str) -> None:
    journal = Journal()

    async def endpoint(request: Request) -> Response:
        journal.note(f"read {await request.body()!r}")
        journal.note(f"gone: {await request.is_disconnected()}")
        await journal.leave_to("ask")
        journal.note(f"gone: {await request.is_disconnected()}")
        journal.note(f"still: {await request.is_disconnected()}")
        return Response()

    connection = Connection("POST", body=b"all", manner=manner)
    async with serving(around(endpoint, cancel=False), connection):
        await journal.noted("gone: False")
        await connection.is_listened_to()
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        journal.allow("ask")
        await connection.has_ended()
    assert journal.notes == ["read b'all'", "gone: False", "gone: True", "still: True"]


async def test_context_variables_are_as_unwrapped(around: Place) -> None:
    async def seen(app: Any) -> list[str]:
        journal = Journal()
        color.set("caller's")
        await app(journal)
        return [*journal.notes, color.get()]

    def make(build: Place, **options: Any) -> Any:
        async def run(journal: Journal) -> None:
            def work() -> None:
                journal.note(f"background: {color.get()}")

            async def endpoint(request: Request) -> Response:
                journal.note(f"endpoint: {color.get()}")
                color.set("endpoint's")
                return Response(background=BackgroundTask(work))

            connection = Connection()
            await build(endpoint, **options)(connection.scope, connection.receive, connection.send)

        return run

    assert await seen(make(bare)) == await seen(make(around, watch_after=0))


# BaseHTTPMiddleware


class ReadsTheBody(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        await request.body()
        response: Response = await call_next(request)
        return response


BASES = {
    "one": [Middleware(Passes)],
    "three": [Middleware(Passes)] * 3,
    "reads-the-body": [Middleware(Passes), Middleware(ReadsTheBody)],
    "compresses": [Middleware(Passes), Middleware(GZipMiddleware, minimum_size=0)],
}


beside_each_other = pytest.mark.parametrize(
    "around", [outermost, in_the_stack], ids=["outermost", "in_the_stack"]
)


@pytest.fixture(params=BASES)
def bases(request: pytest.FixtureRequest) -> list[Middleware]:
    return BASES[request.param]


@beside_each_other
async def test_no_response_returned_is_never_heard_of(
    around: Place, bases: list[Middleware], manner: str
) -> None:
    """It is what `BaseHTTPMiddleware` raises when the app inside it ends without a response."""

    async def endpoint(request: Request) -> Response:
        await request.body()
        for _ in range(20):
            await checkpoint()
        return Response(b"done")

    app = around(endpoint, *bases, watch_after=0)
    outcomes = set()
    for ticks in range(60):
        connection = Connection("POST", body=b"body", manner=manner)
        async with serving(app, connection):
            for _ in range(ticks):
                await checkpoint()
            connection.leave()
            await connection.has_ended()
        outcomes.add(connection.complete)
    assert outcomes == {False, True}  # so the departures fell on either side of the response


@beside_each_other
async def test_an_endpoint_behind_it_is_stopped(
    around: Place, bases: list[Middleware], manner: str
) -> None:
    journal = Journal()

    async def endpoint(request: Request) -> Response:
        journal.note("started")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("finally")
        return Response()

    connection = Connection("POST", body=b"body", manner=manner)
    async with serving(around(endpoint, *bases), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["started", "finally"]


@beside_each_other
async def test_a_stream_behind_it_stops(
    around: Place, bases: list[Middleware], manner: str
) -> None:
    journal = Journal()

    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick" * 1000
                await journal.leave_to("tick on")
        finally:
            journal.note("finally")

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(ticks())

    connection = Connection(manner=manner)
    async with serving(around(endpoint, *bases), connection):
        await connection.has_started()
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
        await journal.noted("finally")


@beside_each_other
async def test_a_sync_endpoint_behind_it_is_waited_for(
    around: Place, bases: list[Middleware], manner: str
) -> None:
    journal = Journal()

    def endpoint(request: Request) -> Response:
        journal.note("started")
        journal.block()
        journal.note("finished")
        return PlainTextResponse("for nobody")

    connection = Connection(manner=manner)
    async with serving(around(endpoint, *bases), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await anyio.wait_all_tasks_blocked()
        assert not connection.over
        journal.release()
        await connection.has_ended()
        assert journal.notes == ["started", "finished"]


@beside_each_other
async def test_background_work_behind_it_finishes(
    around: Place, bases: list[Middleware], manner: str
) -> None:
    journal = Journal()

    async def work() -> None:
        journal.note("background started")
        await journal.leave_to("finish")
        journal.note("background finished")

    async def endpoint(request: Request) -> Response:
        await journal.leave_to("respond")
        return PlainTextResponse("done", background=BackgroundTask(work))

    connection = Connection(manner=manner)
    async with serving(around(endpoint, *bases), connection):
        await connection.is_listened_to()
        journal.allow("respond")
        await connection.has_completed()
        connection.leave()
        await journal.noted("background started")
        await anyio.wait_all_tasks_blocked()
        journal.allow("finish")
        await connection.has_ended()
    assert journal.notes == ["background started", "background finished"]


@pytest.mark.parametrize("critical", [True, False])
async def test_background_work_after_an_abandoned_stream_outlasts_its_grace_if_it_is_critical(
    around: Place, manner: str, critical: bool
) -> None:
    """It is the rest of an app that was told, and nothing tells it from one that ignores that."""
    journal = Journal()

    async def words() -> AsyncIterator[str]:
        yield "word"
        await anyio.sleep_forever()

    async def work() -> None:
        journal.note("background started")
        if critical:
            async with current_disconnect().critical():
                await anyio.sleep(0.1)  # longer than `grace`
        else:
            await anyio.sleep_forever()
        journal.note("background finished")

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(words(), background=BackgroundTask(work))

    connection = Connection(manner=manner)
    async with serving(around(endpoint, grace=0.02), connection):
        await connection.has_sent(b"word")
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["background started", "background finished"][: 2 if critical else 1]

"""Applications without a framework, in every shape that one may have (contract §1 and §5)."""

import asyncio
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from .apps import Framework
from .apps.on_bare import SHAPES, respond
from .connection import Connection, exchange, serving
from .journal import Journal

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("silence")]

color: ContextVar[str] = ContextVar("color", default="none")


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Framework:
    return Framework("bare", "on_bare", variant=request.param)


@pytest.mark.parametrize("path", ["/quick", "/count", "/missing"])
async def test_every_shape_answers_as_unwrapped(shape: Framework, path: str) -> None:
    bare = await exchange(shape.bare(Journal()), Connection("GET", path))
    wrapped = await exchange(shape.wrapped(Journal()), Connection("GET", path))
    assert wrapped.complete
    assert wrapped.sent == bare.sent


async def test_every_shape_reads_its_body(shape: Framework, manner: str) -> None:
    connection = Connection("POST", "/echo", body=[b"a", b"b"], manner=manner)
    await exchange(shape.wrapped(Journal(), watch_after=0), connection)
    assert connection.body == b"ab"


async def test_every_shape_is_stopped(shape: Framework, manner: str) -> None:
    journal = Journal()
    connection = Connection("GET", "/slow", manner=manner)
    async with serving(shape.wrapped(journal), connection):
        await journal.noted("started")
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert "finally" in journal.notes


async def test_what_the_app_returns_is_returned() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> Any:
        await respond(send, b"")
        return scope["path"]

    connection = await exchange(DisconnectMiddleware(app), Connection("GET", "/returned"))
    assert connection.returned == "/returned"


@pytest.mark.parametrize("failure", [ValueError("own"), KeyboardInterrupt(), ConnectionError()])
@pytest.mark.parametrize("watched", [False, True])
async def test_an_error_leaves_as_the_same_object(failure: BaseException, watched: bool) -> None:
    connection = Connection()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if watched:
            await connection.is_listened_to()
        raise failure

    with pytest.raises(type(failure)) as caught:
        await DisconnectMiddleware(app)(connection.scope, connection.receive, connection.send)
    assert caught.value is failure
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "scope", [{"type": "websocket"}, {"type": "lifespan"}, {"type": "something else"}, {}]
)
async def test_other_scopes_pass_with_the_very_same_objects(scope: dict[str, str]) -> None:
    seen: list[Any] = []

    async def app(*arguments: Any) -> None:
        seen.extend(arguments)

    connection = Connection()
    given = scope, connection.receive, connection.send
    await DisconnectMiddleware(app, watch_after=0)(*given)
    assert all(one is another for one, another in zip(seen, given, strict=True))


async def test_the_app_runs_in_the_callers_task_and_context() -> None:
    tasks = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(anyio.get_current_task())
        color.set("red")
        await respond(send, b"")

    connection = Connection()
    await DisconnectMiddleware(app)(connection.scope, connection.receive, connection.send)
    assert color.get() == "red"
    assert tasks == [anyio.get_current_task()]


async def test_the_servers_scope_is_left_alone() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["mine"] = True
        seen.append(scope)
        await respond(send, b"")

    connection = Connection()
    before = dict(connection.scope)
    await exchange(DisconnectMiddleware(app), connection)
    assert connection.scope == before
    assert seen[0] is not connection.scope
    assert seen[0]["state"] is connection.scope["state"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_timeout_of_the_apps_own_works_while_it_is_watched(manner: str) -> None:
    connection = Connection(manner=manner)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await connection.is_listened_to()
        try:
            await asyncio.wait_for(asyncio.sleep(3600), 0.01)
        except TimeoutError:
            await respond(send, b"timeout")

    await exchange(DisconnectMiddleware(app), connection)
    assert connection.body == b"timeout"


async def test_an_app_that_was_told_may_still_end_in_its_own_way(manner: str) -> None:
    journal = Journal()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        while message["type"] != "http.disconnect":
            message = await receive()
        journal.note("told")
        await journal.leave_to("end")
        journal.note("ended")

    connection = Connection(manner=manner)
    async with serving(DisconnectMiddleware(app), connection):
        await connection.is_listened_to()
        connection.leave()
        await journal.noted("told")
        await anyio.wait_all_tasks_blocked()
        journal.allow("end")
        await connection.has_ended()
    assert journal.notes == ["told", "ended"]


async def test_an_error_after_the_response_comes_out_though_the_app_heard_of_the_end(
    manner: str,
) -> None:
    failure = ValueError("background work failed")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"done")
        while (await receive())["type"] != "http.disconnect":
            pass
        raise failure

    connection = Connection(manner=manner)
    async with serving(DisconnectMiddleware(app, watch_after=0), connection):
        await connection.is_over()
    assert connection.error is failure


async def test_nothing_is_read_for_background_work(manner: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"done")
        await anyio.sleep(0.01)

    connection = Connection(body=b"unread", manner=manner)
    await exchange(DisconnectMiddleware(app, watch_after=0), connection)
    assert not connection.most_receiving


async def test_an_app_that_was_told_is_cancelled_after_its_grace(manner: str) -> None:
    journal = Journal()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        while message["type"] != "http.disconnect":
            message = await receive()
        journal.note("told")
        try:
            await anyio.sleep_forever()
        finally:
            journal.note("cancelled")

    connection = Connection(manner=manner)
    async with serving(DisconnectMiddleware(app, grace=0.01), connection):
        await connection.is_listened_to()
        connection.leave()
        await connection.has_ended()
    assert journal.notes == ["told", "cancelled"]

"""`lifespan=True` runs the app's lifespan around an exchange; without it the error names that."""

import contextlib
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.testing import BEHAVIOURS, NeverHappened, exchange, websocket_exchange

from . import sockets
from .apps import echo, listening, respond, start

pytestmark = pytest.mark.anyio

SHORT = 0.05


class App:
    """An app with a lifespan, and what has happened to it."""

    def __init__(self, at_startup: Any = None, at_shutdown: Any = None) -> None:
        self.happened: list[str] = []
        self.at = {"startup": at_startup, "shutdown": at_shutdown}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            # Entered and left in one task, as anyio demands.
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                await self.take_step("startup", receive, send)
                scope["state"]["pool"] = "the pool"
                await send({"type": "lifespan.startup.complete"})
                await self.take_step("shutdown", receive, send)
                tasks.cancel_scope.cancel()
            await send({"type": "lifespan.shutdown.complete"})
            return
        self.happened.append(f"uses {scope['state']['pool']}")
        scope["state"]["of this request"] = True
        try:
            await (sockets.echo if scope["type"] == "websocket" else listening)(
                scope, receive, send
            )
        finally:
            self.happened.append("gives it back")

    async def take_step(self, stage: str, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == f"lifespan.{stage}"
        self.happened.append(stage)
        if self.at[stage] is not None:
            await self.at[stage](send)


ALL = ["startup", "uses the pool", "gives it back", "shutdown"]


async def raises(send: Any) -> None:
    raise LookupError("no such database")


def fails(stage: str) -> Callable[[Any], Any]:
    async def fail(send: Any) -> None:
        await send({"type": f"lifespan.{stage}.failed", "message": "no such database"})
        await anyio.sleep_forever()

    return fail


async def hangs(send: Any) -> None:
    await anyio.sleep_forever()


@pytest.fixture(params=[exchange, websocket_exchange])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("server", BEHAVIOURS)
async def test_startup_comes_before_and_shutdown_after(kind: Any, server: str) -> None:
    app = App()
    async with kind(DisconnectMiddleware(app), lifespan=True, server=server) as client:
        await client.until_receiving()
        assert app.happened == ALL[:2]
    assert app.happened == ALL


@pytest.mark.parametrize("kind", [exchange, websocket_exchange])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_so_it_is_in_tests_that_are_not_async(kind: Any, backend: str) -> None:
    app = App()
    with kind(app, lifespan=True, backend=backend) as client:
        client.until_receiving()
        assert app.happened == ALL[:2]
    assert app.happened == ALL


async def test_what_the_test_puts_into_the_state_is_left_there(kind: Any) -> None:
    app = App()
    given = {"state": {"pool": "the test's own"}}
    async with kind(app, lifespan=True, scope=given) as client:
        await client.until_receiving()
    assert app.happened[1] == "uses the test's own"


async def test_a_request_does_not_change_the_state_that_startup_made(kind: Any) -> None:
    states: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        states.append(scope["state"])
        await inner(scope, receive, send)

    inner = App()
    async with kind(app, lifespan=True) as client:
        await client.until_receiving()
    of_lifespan, of_request = states
    assert (of_lifespan, len(of_request)) == ({"pool": "the pool"}, 2)


async def test_the_error_that_startup_raises_comes_out() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "Traceback..."})
        raise error

    error = LookupError("no such database")
    with pytest.raises(LookupError) as raised:
        async with exchange(app, lifespan=True):
            raise AssertionError("the block is not entered")
    assert raised.value is error
    assert error.__notes__ == ["The app's startup failed with this."]


async def test_a_startup_that_fails_or_hangs(kind: Any) -> None:
    for step, reason in (
        (fails("startup"), r"startup failed: no such database"),
        (hangs, r"not completed its startup within 0\.05 s"),
    ):
        app = App(step)
        with pytest.raises(NeverHappened, match=reason):
            async with kind(app, lifespan=True, patience=SHORT):
                raise AssertionError("the block is not entered")
        assert app.happened == ALL[:1]


async def test_an_app_without_a_lifespan_is_said_to_have_none() -> None:
    async def only_http(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise ValueError(f"no {scope['type']} here")

    async def quiet(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await echo(scope, receive, send)

    with pytest.raises(ValueError, match="no lifespan here") as raised:
        async with exchange(only_http, lifespan=True):
            pass
    assert "An app that has none raises: leave lifespan=True out" in raised.value.__notes__[0]
    with pytest.raises(NeverHappened, match=r"the app has no lifespan: .* Leave lifespan=True out"):
        async with exchange(quiet, lifespan=True):
            pass


async def test_a_shutdown_that_raises_fails_or_hangs(kind: Any) -> None:
    for step, error, reason in (
        (raises, ExceptionGroup, "error of the app's lifespan"),  # of the app's own task group
        (fails("shutdown"), NeverHappened, r"shutdown failed: no such database"),
        (hangs, NeverHappened, r"not completed its shutdown within 0\.05 s"),
    ):
        app = App(at_shutdown=step)
        with pytest.raises(error, match=reason):
            async with kind(app, lifespan=True, patience=SHORT) as client:
                await client.until_receiving()
        assert app.happened == ALL


async def test_a_test_that_fails_has_the_app_shut_down_and_fails_with_its_own_error() -> None:
    async def test() -> None:
        async with exchange(app, lifespan=True) as client:
            await client.until_receiving()
            raise AssertionError("the test's")

    app = App(at_shutdown=raises)
    with pytest.raises(AssertionError, match="the test's"):
        await test()
    assert app.happened == ALL


async def test_a_time_limit_around_it_ends_it() -> None:
    for app in (App(hangs), App()):
        with anyio.move_on_after(SHORT) as limit:
            async with exchange(app, lifespan=True):
                await anyio.sleep_forever()
        assert limit.cancelled_caught


# Without it

NAMES_IT = r"Its lifespan has not been run: lifespan=True runs it\."


async def test_the_error_of_an_app_that_misses_its_state_names_it(kind: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(scope["state"]["pool"])

    with pytest.raises(KeyError, match=NAMES_IT):
        async with kind(app):
            await anyio.wait_all_tasks_blocked()
    async with kind(app) as client:
        with pytest.raises(NeverHappened, match=rf"it raised NotInState\('pool'\)\. {NAMES_IT}"):
            await client.until_working()
        assert (await client.result()).exception.__notes__


async def test_so_does_that_of_one_that_misses_an_attribute_of_starlettes_state() -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def of_request(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.pool)

    async def of_app(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.app.state.pool)

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        app.state.pool = "the app's pool"
        yield {"pool": "the pool"}

    routes = [Route("/request", of_request), Route("/app", of_app)]
    app = DisconnectMiddleware(Starlette(routes=routes, lifespan=lifespan))
    for server in "uvicorn", "daphne":
        for path in "/request", "/app":
            async with exchange(app, path, server=server) as client:
                with pytest.raises(NeverHappened, match=rf"attribute 'pool'.*\. {NAMES_IT}"):
                    await client.until_working()
                exception: Any = (await client.result()).exception
                assert (type(exception), len(exception.__notes__)) == (AttributeError, 1)
    for path, body in ("/request", b"the pool"), ("/app", b"the app's pool"):
        async with exchange(app, path, lifespan=True) as client:
            assert (await client.result()).body == body


async def test_an_app_that_answers_500_may_need_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, 500)
        await respond(send)

    async with exchange(app) as client:
        with pytest.raises(NeverHappened, match=NAMES_IT):
            await client.until(anyio.Event())


async def test_other_errors_do_not_name_it() -> None:
    class Thing: ...

    def asks(thing: Any) -> Any:
        return thing.pool

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["state"].get("pool") is None
        assert "pool" not in scope["state"]
        asks(Thing())

    async with exchange(app) as client:
        exception: Any = (await client.result()).exception
    assert isinstance(exception, AttributeError)
    assert not hasattr(exception, "__notes__")


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_an_app_that_needs_asyncio_is_said_to_on_trio(anyio_backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        sys.modules["asyncio"].get_running_loop()

    async with exchange(app) as client:
        exception: Any = (await client.result()).exception
    if anyio_backend == "asyncio":
        assert exception is None
    else:
        assert "by the fixture anyio_backend" in exception.__notes__[0]

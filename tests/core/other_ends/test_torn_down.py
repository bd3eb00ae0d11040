"""An exchange that somebody tears down leaves nothing, and says nothing (contract §5)."""

import asyncio
import contextvars
import gc
import logging
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, current_disconnect
from asgi_disconnect._exchange.bounded import BoundedExchange

from ...backends import only_asyncio
from ..scripted import DISCONNECT, HUNG, REQUEST, Server, http_scope, piece, ticks

pytestmark = pytest.mark.anyio


async def waits(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await anyio.sleep_forever()


async def has_a_callback(scope: Any, receive: Any, send: Any) -> None:
    current_disconnect().add_callback(anyio.sleep_forever)
    scope["server"].leave()
    while await receive() != DISCONNECT:
        pass
    await anyio.sleep_forever()


@only_asyncio
@pytest.mark.parametrize("app", [waits, has_a_callback])
@pytest.mark.parametrize("turns", [0, 1, 2, 20])
@pytest.mark.parametrize("spilled", [True, False])
@pytest.mark.parametrize("deadline", [None, 1000])
async def test_a_coroutine_that_is_closed_in_another_context(
    app: Any, turns: int, spilled: bool, deadline: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As the interpreter does with what nobody refers to any more."""
    caplog.set_level(logging.DEBUG)
    server = Server(*[piece(bytes(100_000)) for _ in range(5)] if spilled else [REQUEST])
    middleware = DisconnectMiddleware(app, watch_after=0, max_memory=10_000, deadline=deadline)
    others = asyncio.all_tasks()
    coroutine: Any = middleware(http_scope(server=server), server.receive, server.send)
    coroutine.send(None)  # to its first await; a task would go on from here
    await ticks(turns)
    if spilled:
        await asyncio.sleep(0.02)  # for the disk
    contextvars.Context().run(coroutine.close)
    with anyio.fail_after(HUNG):
        while asyncio.all_tasks() - others:
            await ticks(1)
    assert not server.reading
    gc.collect()  # a file that was left open would say so here
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("app", [waits, has_a_callback])
@pytest.mark.parametrize("deadline", [None, 1000])
def test_a_loop_that_is_dropped_with_requests_in_it(
    app: Any, deadline: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What asyncio says of tasks that it loses, it says of an app unguarded as well."""

    async def serve() -> None:
        server = Server(REQUEST)
        middleware = DisconnectMiddleware(app, watch_after=0, deadline=deadline)
        scope = http_scope(server=server)
        serving.append(asyncio.ensure_future(middleware(scope, server.receive, server.send)))
        await ticks(20)

    serving: list[asyncio.Future[Any]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(serve())
    loop.close()
    del loop
    serving.clear()
    gc.collect()
    assert [record for record in caplog.records if "Exchange" in record.getMessage()] == []


@pytest.mark.fast_guard  # anyio keeps tasks that are in a scope, as on the reference guard
@pytest.mark.parametrize("reads_in", ["the app's task", "another task"])
def test_a_loop_that_is_dropped_as_a_deadline_passes(
    reads_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app's `receive()` has been interrupted, and there is nobody left to tell."""
    ends = list[str]()

    async def read(receive: Any) -> None:
        try:
            await receive()
        except BaseException as error:
            ends.append(type(error).__name__)
            raise

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reads = read(receive)
        await (asyncio.ensure_future(reads) if reads_in == "another task" else reads)

    async def serve() -> None:
        server, middleware = Server(), DisconnectMiddleware(app, deadline=0.02)
        await middleware(http_scope(), server.receive, server.send)

    def pass_deadline_and_stop(exchange: BoundedExchange) -> None:
        pass_deadline(exchange)
        asyncio.get_running_loop().stop()

    pass_deadline = BoundedExchange.pass_deadline
    monkeypatch.setattr(BoundedExchange, "pass_deadline", pass_deadline_and_stop)
    loop = asyncio.new_event_loop()
    serving = loop.create_task(serve())
    loop.run_forever()
    loop.close()
    del loop, serving
    with pytest.warns(RuntimeWarning, match="was never awaited"):  # what was to answer
        gc.collect()
    assert ends == ["GeneratorExit"]


class Odd(BaseException):
    """Not an `Exception`."""


@pytest.mark.parametrize("app_reads", [True, False])
async def test_a_base_exception_of_the_servers_receive_is_the_apps_to_hear_of(
    app_reads: bool,
) -> None:
    error = Odd()
    failed = anyio.Event()

    class Failing(Server):
        async def receive(self) -> Any:
            if self.calls:
                failed.set()
                raise error
            return await super().receive()

    server = Failing(piece(b"the first"))

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        await failed.wait()
        await ticks(3)
        if app_reads:
            await receive()
        return "returned"

    if app_reads:
        with pytest.raises(Odd) as raised:
            await server.run(app)
        assert raised.value is error
    else:
        assert await server.run(app) == "returned"

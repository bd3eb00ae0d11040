"""An `OSError` of the server's send is a departure; the app has it first (contract §4)."""

import contextlib
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectReport, current_disconnect
from asgi_disconnect._departure import departure

from ..scripted import LAST, MORE, REQUEST, START, Server, ticks

pytestmark = pytest.mark.anyio


class Failing(Server):
    """Its send raises once the response has started."""

    error = OSError("the client has gone")

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] != "http.response.start":
            raise self.error


async def test_an_os_error_of_send_reaches_the_app_and_is_a_departure() -> None:
    caught = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        try:
            await send(MORE)
        except OSError as error:
            caught.append(error)
        assert (await receive())["type"] == "http.disconnect"
        caught.append("told")
        await anyio.sleep_forever()

    server = Failing(REQUEST)
    assert await server.run(app, grace=0) is None
    assert caught == [Failing.error, "told"]


async def test_an_os_error_of_send_tells_whoever_listens() -> None:
    """Another task's `receive()`, `wait()` and callbacks: the server's `receive` says nothing."""
    heard = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(5)  # the watcher reads

        async def listen() -> None:
            heard.append((await receive())["type"])

        async def wait() -> None:
            await current_disconnect().wait()
            heard.append("set")

        async def called() -> None:
            heard.append("called")

        current_disconnect().add_callback(called)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            tasks.start_soon(wait)
            await ticks(5)
            await send(START)
            with pytest.raises(OSError, match="gone"):
                await send(MORE)
            assert current_disconnect().is_set()

    await Failing(REQUEST).run(app)
    assert sorted(heard) == ["called", "http.disconnect", "set"]


@pytest.mark.parametrize("caught", [True, False])
async def test_an_app_that_ends_after_an_os_error_of_send_was_told(caught: bool) -> None:
    reports: list[DisconnectReport] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        try:
            await send(MORE)
        except OSError:
            await ticks(20)  # and is not cancelled: it has its grace
            if not caught:
                raise

    with pytest.raises(OSError, match="gone") if not caught else contextlib.nullcontext():
        await Failing(REQUEST).run(app, on_disconnect=reports.append)
    assert [(report.cause, report.outcome) for report in reports] == [("send_error", "told")]


async def test_an_app_that_goes_on_after_an_os_error_of_send_has_a_second_of_its_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert departure.SEND_ERROR_GRACE == 1.0
    monkeypatch.setattr(departure, "SEND_ERROR_GRACE", 0.01)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        with pytest.raises(OSError, match="gone"):
            await send(MORE)
        await anyio.sleep_forever()

    assert await Failing(REQUEST).run(app, grace=1000) is None


async def test_an_os_error_of_send_that_the_app_lets_pass_is_the_servers_to_catch() -> None:
    """ASGI HTTP specification, "Disconnected Client": the server catches what it raised."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(MORE)

    with pytest.raises(OSError, match="gone") as raised:
        await Failing(REQUEST).run(app)
    assert raised.value is Failing.error


async def test_an_os_error_of_send_that_receive_confirms_leaves_the_app_its_time() -> None:
    server = Failing(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await ticks(5)  # the watcher reads
        await send(START)
        try:
            await send(MORE)
        finally:
            server.leave()
            await ticks(50)

    with pytest.raises(OSError, match="gone") as raised:
        await server.run(app)
    assert raised.value is Failing.error


async def test_an_os_error_of_the_last_send_is_no_premature_departure() -> None:
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        with pytest.raises(OSError, match="gone"):
            await send(LAST)
        await ticks(20)
        done.append("background")

    await Failing(REQUEST).run(app)
    assert done == ["background"]


async def test_another_error_of_send_is_no_departure() -> None:
    class Refusing(Server):
        async def send(self, message: Any) -> None:
            raise RuntimeError("unexpected message")

    async def app(scope: Any, receive: Any, send: Any) -> str:
        with pytest.raises(RuntimeError, match="unexpected"):
            await send(MORE)
        await ticks(20)
        return "returned"

    assert await Refusing(REQUEST).run(app) == "returned"

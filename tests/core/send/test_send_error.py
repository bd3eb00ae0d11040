"""What the app sends (contract §3)."""

import contextlib
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectReport, current_disconnect
from asgi_disconnect._departure import departure

from ..scripted import LAST, MORE, REQUEST, START, Message, Server, ticks

pytestmark = pytest.mark.anyio

TRAILERS_DUE: Message = {**START, "trailers": True}
TRAILERS: Message = {"type": "http.response.trailers", "headers": []}
PATH: Message = {"type": "http.response.pathsend", "path": "/x"}
ZERO: Message = {"type": "http.response.zerocopysend", "file": 1}


async def test_every_message_reaches_the_server_as_the_object_that_it_was() -> None:
    sent: list[Message] = [
        {"type": "http.response.debug", "info": {}},
        {"type": "http.response.early_hint", "links": []},
        START,
        {"type": "http.response.push", "path": "/", "headers": []},
        {"type": "http.of_tomorrow"},
        {"untyped": True},
        MORE,
        LAST,
        LAST,
    ]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in sent:
            await send(message)

    server = Server(REQUEST)
    await server.run(app)
    assert [id(message) for message in server.sent] == [id(message) for message in sent]


@pytest.mark.parametrize(
    "response",
    [
        [START, LAST],
        [START, MORE, LAST],
        [START, {"type": "http.response.body"}],
        [TRAILERS_DUE, LAST, TRAILERS],
        [TRAILERS_DUE, LAST, {**TRAILERS, "more_trailers": True}, TRAILERS],
        [START, PATH],
        [TRAILERS_DUE, PATH, TRAILERS],
        [START, {**ZERO, "more_body": True}, MORE, ZERO],
    ],
    ids=lambda response: " ".join(message["type"][14:] for message in response),
)
@pytest.mark.parametrize("server_says_it_in", ["the last send", "the tick after"])
async def test_after_the_response_is_complete_nothing_is_cancelled(
    response: list[Message], server_says_it_in: str
) -> None:
    """Background work runs to its end, and before the last message a departure does cancel."""
    for leave_at in range(len(response) + 1):
        done = []

        class Leaving(Server):
            async def send(self, message: Any) -> None:
                await super().send(message)
                if len(self.sent) == leave_at:  # noqa: B023
                    self.leave()
                    if server_says_it_in == "the last send":
                        await ticks(5)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            for message in response:
                await send(message)
                await ticks(20)
            await ticks(20)
            done.append("background")  # noqa: B023

        server = Leaving(REQUEST)
        if leave_at == 0:
            server.leave()
        await server.run(app)
        complete = leave_at == len(response)
        assert done == (["background"] if complete else []), leave_at


async def test_the_sends_of_a_cancelled_app_are_dropped_and_do_not_block() -> None:
    """Hypercorn on HTTP/2 would block them for ever."""

    class Blocking(Server):
        left = False

        async def send(self, message: Any) -> None:
            if self.left:
                await anyio.sleep_forever()
            await super().send(message)

    cleaned = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await send(MORE)
                await send(LAST)
            cleaned.append(True)

    server = Blocking(REQUEST)

    async with anyio.create_task_group() as tasks:

        async def leave() -> None:
            await ticks(10)
            server.left = True
            server.leave()

        tasks.start_soon(leave)
        await server.run(app)
    assert server.types == ["start"]
    assert cleaned == [True]


async def test_an_app_that_swallows_cancellation_and_sends_on_does_not_block_the_loop() -> None:
    server = Server(REQUEST)
    stop = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        while not stop:
            try:
                await send(MORE)
                await ticks(1)
            except BaseException:
                pass

    async with anyio.create_task_group() as tasks:

        async def look() -> None:
            await ticks(100)
            stop.append(True)

        tasks.start_soon(look)
        await server.run(app)


@pytest.mark.parametrize("swallows", [True, False])
async def test_an_app_whose_cleanup_does_nothing_but_send_does_not_block_the_loop(
    swallows: bool,
) -> None:
    """What is dropped gives the loop a turn, and is where a cancellation is heard on trio."""
    server = Server(REQUEST)
    stop = anyio.Event()
    sends = 0

    async def send_on(send: Any) -> None:
        nonlocal sends
        while not stop.is_set():
            sends += 1
            if sends == 10_000:
                return
            try:
                await send(MORE)
            except anyio.get_cancelled_exc_class():
                assert swallows

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        server.leave()
        try:
            await anyio.sleep_forever()
        finally:
            if swallows:
                await send_on(send)
            else:
                with anyio.CancelScope(shield=True):
                    await send_on(send)

    async with anyio.create_task_group() as tasks:

        async def look() -> None:
            await ticks(100)
            stop.set()

        tasks.start_soon(look)
        await server.run(app)
    assert server.sent == []
    assert sends < 10_000, "nobody else had a turn"


@pytest.mark.parametrize("options", [{"cancel": False}, {"grace": float("inf")}])
async def test_the_sends_of_an_app_that_is_not_cancelled_go_on(options: Any) -> None:
    server = Server(REQUEST)

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await receive()
        server.leave()
        assert (await receive())["type"] == "http.disconnect"
        await ticks(10)
        await send(START)
        await send(LAST)
        return "returned"

    assert await server.run(app, **options) == "returned"
    assert server.types == ["start", "body"]


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


async def test_an_app_that_goes_on_after_an_os_error_of_send_is_cancelled() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        with pytest.raises(OSError, match="gone"):
            await send(MORE)
        await anyio.sleep_forever()

    assert await Failing(REQUEST).run(app, grace=0.01) is None


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


async def test_an_app_that_cleans_up_after_an_os_error_of_send_is_not_cancelled() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            await send(MORE)
        finally:
            await ticks(50)

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

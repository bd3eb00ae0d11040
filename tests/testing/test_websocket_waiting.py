"""Each wait of a WebSocket's client ends; one that cannot end says what is probably wrong."""

from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.testing import NeverHappened, websocket_exchange

from .sockets import accept, deaf, echo, greets, refuses

pytestmark = pytest.mark.anyio

SHORT = 0.05
NEVER = NeverHappened


async def test_until_accepted_receiving_working_and_a_signal() -> None:
    async def stepwise(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        assert (await receive())["text"] == "go"
        event.set()
        await anyio.sleep_forever()

    for app in (stepwise, DisconnectMiddleware(stepwise, websocket=True)):
        event = anyio.Event()
        async with websocket_exchange(app, grace=0, patience=1) as client:
            assert not client.accepted
            await client.until_accepted()
            await client.until_receiving()
            client.send("go")
            await client.until(event)
            await client.until_working()
            assert client.sent == []


async def test_a_message_that_the_app_never_sends() -> None:
    async with websocket_exchange(echo, patience=SHORT) as client:
        with pytest.raises(NEVER, match=r"not sent another message within .* call send\(\), or"):
            await client.receive()
        with pytest.raises(NEVER, match=r"not ended within 0\.05 s: it waits in receive\(\)"):
            await client.result()
    async with websocket_exchange(deaf, patience=SHORT) as client:
        with pytest.raises(NEVER, match=r"it is at work\. .* give websocket_exchange\(\) a larger"):
            await client.receive()


async def test_an_app_that_sleeps_is_not_said_to_wait_in_receive() -> None:
    """Where `DisconnectMiddleware` waits on its behalf."""
    app = DisconnectMiddleware(deaf, websocket=True, watch_after=0, grace=0)
    async with websocket_exchange(app, patience=SHORT) as client:
        await client.until_receiving()
        for wait in (client.receive, client.result):
            with pytest.raises(NEVER, match=r"it is at work\. To abandon it, close") as e:
                await wait()
            assert "receive()" not in str(e.value)


async def test_an_app_that_closes_sends_no_more() -> None:
    async def closes_and_works(scope: Any, receive: Any, send: Any) -> None:
        await greets(scope, receive, send)
        await go_on.wait()

    go_on = anyio.Event()
    async with websocket_exchange(closes_and_works, patience=SHORT) as client:
        assert await client.receive() == "hello"
        with pytest.raises(NEVER, match=r"never sent another .* closed the connection, with code"):
            await client.receive()
        with pytest.raises(NEVER, match=r"with code 4000\. but not ended|not ended within 0\.05 s"):
            await client.result()
        with pytest.raises(
            RuntimeError, match=r"the app has closed the connection, with code 4000"
        ):
            client.send("hello?")
        go_on.set()


async def test_an_app_that_refuses_is_probably_asked_for_the_wrong_path() -> None:
    async with websocket_exchange(refuses) as client:
        with pytest.raises(NEVER, match=r"refused the handshake with 403\. Is the path right"):
            await client.until_accepted()
        with pytest.raises(NEVER, match=r"refused the handshake with 403\. Is the path right"):
            await client.until_working()


async def test_a_wait_that_the_apps_error_ends_says_so() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such thing")

    async with websocket_exchange(broken) as client:
        with pytest.raises(NEVER, match=r"before it accepted the connection: it raised Look") as e:
            await client.until_accepted()
        assert isinstance(e.value.__cause__, LookupError)
        await client.result()


async def test_an_app_that_returns() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def brief(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)

    async with websocket_exchange(silent) as client:
        with pytest.raises(
            NEVER, match=r"it returned and neither accepted nor refused the connection\."
        ):
            await client.until_accepted()
    async with websocket_exchange(brief) as client:
        with pytest.raises(NEVER, match=r"it returned\. Does the handler wait for anything"):
            await client.receive()


async def test_an_app_that_reads_before_it_accepts() -> None:
    async def hesitant(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()

    async with websocket_exchange(hesitant, patience=SHORT) as client:
        client.send("hello")
        with pytest.raises(NEVER, match=r"in receive\(\), and has not accepted the connection\."):
            await client.until_accepted()


async def test_what_is_sent_to_a_client_that_has_left_never_comes() -> None:
    async with websocket_exchange(deaf, patience=SHORT) as client:
        await client.until_accepted()
        client.close()
        with pytest.raises(NEVER, match=r"the client has left, .* Wait for it before close\(\)"):
            await client.receive()
        with pytest.raises(RuntimeError, match="the client has left"):
            client.send("hello?")


async def test_an_app_that_has_ended_because_its_client_has_left() -> None:
    async with websocket_exchange(echo) as client:
        await client.until_receiving()
        client.close()
        with pytest.raises(NEVER, match=r"its client has left\."):
            await client.until(anyio.Event())


async def test_an_app_that_asks_hypercorn_twice() -> None:
    async def twice(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        await receive()

    async with websocket_exchange(twice, server="hypercorn", patience=SHORT) as client:
        await client.until_receiving()
        client.close()
        await client.until_working()
        with pytest.raises(NEVER, match=r"hypercorn does not send it again, nor anything else"):
            await client.until(anyio.Event())


async def test_only_text_and_bytes_can_be_sent() -> None:
    async with websocket_exchange(echo) as client:
        with pytest.raises(TypeError, match="message is str or bytes, not 5"):
            client.send(5)  # type: ignore[arg-type]


async def test_it_is_entered_once() -> None:
    once = websocket_exchange(echo)
    async with once as client:
        await client.until_accepted()
    with pytest.raises(RuntimeError, match="only be entered once"):
        async with once:
            pass

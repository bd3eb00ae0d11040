"""Each wait ends when it should; one that cannot end says so, and what it probably is."""

import asyncio
import threading
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.testing import NeverHappened, exchange

from .apps import deaf, echo, listening, one_piece, pouring, read, respond, start, streaming, unread

pytestmark = pytest.mark.anyio

SHORT = 0.05


async def test_until_an_event_of_the_tests_own() -> None:
    async def working(scope: Any, receive: Any, send: Any) -> None:
        event.set()
        await anyio.sleep_forever()

    for kind in (anyio.Event, threading.Event):
        event: Any = kind()
        async with exchange(working, patience=SHORT) as client:
            await client.until(event)
            assert event.is_set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_until_an_event_of_asyncios() -> None:
    async def working(scope: Any, receive: Any, send: Any) -> None:
        event.set()
        await anyio.sleep_forever()

    event = asyncio.Event()
    async with exchange(DisconnectMiddleware(working)) as client:
        await client.until(event)
        assert event.is_set()


async def test_until_a_function_of_the_tests_own_whose_error_comes_out() -> None:
    async def wrong() -> None:
        raise LookupError("no such signal")

    async with exchange(DisconnectMiddleware(deaf)) as client:
        await client.until(checkpoint)
        with pytest.raises(LookupError, match="no such signal"):
            await client.until(wrong)
        with pytest.raises(TypeError, match="an event, or an async function"):
            await client.until(lambda: 1)  # type: ignore[arg-type, return-value]


async def test_a_signal_given_in_the_apps_last_tick_counts() -> None:
    async def quick(scope: Any, receive: Any, send: Any) -> None:
        event.set()

    for kind in (anyio.Event, threading.Event):
        event: Any = kind()
        async with exchange(quick) as client:
            await client.until(event)


async def test_until_receiving_received_responding_and_sent() -> None:
    async def stepwise(scope: Any, receive: Any, send: Any) -> None:
        body = await read(receive)
        assert body == b"abcde"
        await start(send, 201)
        await respond(send, b"xyz", more_body=True)
        await listening(scope, receive, send)

    for app in (stepwise, DisconnectMiddleware(stepwise)):
        async with exchange(app, body=b"abc", more_body=True) as client:
            await client.until_received(3)
            await client.until_receiving()
            client.send(b"de", more_body=False)
            await client.until_received(5)
            await client.until_responding()
            assert client.status == 201
            await client.until_sent(3)
            assert client.body == b"xyz"
            await client.until_receiving()
            client.disconnect()
            assert (await client.result()).outcome == "told"


NEVER = NeverHappened


async def test_a_wait_that_the_apps_error_ends_says_so() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such thing")

    async with exchange(broken) as client:
        with pytest.raises(
            NEVER, match=r"ended before it started its response: it raised Lookup"
        ) as e:
            await client.until_responding()
        assert isinstance(e.value.__cause__, LookupError)
        await client.result()


async def test_an_app_that_answers_at_once_leaves_nothing_to_abandon() -> None:
    async with exchange(echo) as client:
        with pytest.raises(NEVER, match=r"it has answered 200\. There is nothing left to abandon"):
            await client.until_working()


async def test_an_app_that_answers_404_is_probably_asked_for_the_wrong_path() -> None:
    async def missing(scope: Any, receive: Any, send: Any) -> None:
        await start(send, 404)
        await respond(send)

    async with exchange(missing) as client:
        with pytest.raises(NEVER, match=r"it answered 404\. Is the path right"):
            await client.until(anyio.Event())


async def test_an_app_that_answers_500_has_logged_why() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await start(send, 500)
        await respond(send)

    async with exchange(failing) as client:
        with pytest.raises(NEVER, match=r"it answered 500\. What has it logged"):
            await client.until(anyio.Event())


async def test_an_app_that_returns_without_a_response() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async with exchange(silent) as client:
        with pytest.raises(NEVER, match=r"it returned without a complete response\."):
            await client.until_responding()


async def test_an_app_that_has_ended_because_its_client_has_left() -> None:
    async with exchange(listening) as client:
        await client.until_receiving()
        client.disconnect()
        with pytest.raises(NEVER, match=r"its client has left\."):
            await client.until(anyio.Event())


async def test_an_app_that_daphne_has_not_called_before_its_client_left() -> None:
    async with exchange(echo, server="daphne", more_body=True) as client:
        client.disconnect()
        with pytest.raises(NEVER, match="it was not even called, because its client left first"):
            await client.until_working()


async def test_what_an_app_sends_after_its_response_reaches_nobody() -> None:
    async def talkative(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.debug", "info": {}})
        await start(send, 200)
        await respond(send)
        await send({"type": "http.response.body", "body": b"more"})

    async with exchange(talkative) as client:
        result = await client.result()
    assert (client.status, result.status) == (200, 200)
    assert b"more" not in result.body
    assert client.messages[-1].get("body") != b"more"


async def test_an_app_that_waits_for_more_of_the_body_than_the_test_sends() -> None:
    async with exchange(echo, body=b"a", more_body=True, patience=SHORT) as client:
        with pytest.raises(NEVER, match=r"not started its response within 0\.05 s: .*send\(\) the"):
            await client.until_responding()
        with pytest.raises(NEVER, match=r"not ended within .* body is not complete"):
            await client.result()


async def test_an_app_that_waits_for_a_client_that_stays() -> None:
    async with exchange(listening, patience=SHORT) as client:
        with pytest.raises(NEVER, match=r"only the disconnect can come"):
            await client.result()


async def test_an_app_that_is_just_at_work() -> None:
    async with exchange(deaf, patience=SHORT) as client:
        with pytest.raises(NEVER, match=r"it is at work\. .* a larger patience"):
            await client.until_responding()


@pytest.mark.parametrize("app", [deaf, unread])
async def test_an_app_that_sleeps_is_not_said_to_wait_in_receive(app: Any) -> None:
    """Where `DisconnectMiddleware` waits on its behalf."""
    for more_body in (False, True):
        guarded = DisconnectMiddleware(app, watch_after=0)
        async with exchange(guarded, more_body=more_body, patience=SHORT) as client:
            await client.until_receiving()
            if app is deaf and more_body:
                client.send(b"", more_body=False)
            for wait in (client.until_responding, client.result):
                with pytest.raises(NEVER, match=r"it is at work\. To abandon it, disconnect") as e:
                    await wait()
                assert "receive()" not in str(e.value)


async def test_an_app_that_waits_in_receive_behind_the_middleware_is_said_to() -> None:
    for watch_after in (0, 60):
        app = DisconnectMiddleware(listening, watch_after=watch_after)
        async with exchange(app, more_body=True, patience=SHORT) as client:
            with pytest.raises(NEVER, match=r"it waits in receive\(\), and the request's body"):
                await client.result()
            client.send(b"", more_body=False)
            with pytest.raises(NEVER, match=r"it waits in receive\(\), and only the disconnect"):
                await client.result()


async def test_an_app_that_goes_on_after_the_disconnect_is_not_said_to_wait_for_it() -> None:
    async def told_in_vain(scope: Any, receive: Any, send: Any) -> None:
        await listening(scope, receive, send)
        await anyio.sleep_forever()

    app = DisconnectMiddleware(told_in_vain, grace=60)
    async with exchange(app, server="hypercorn", patience=SHORT) as client:
        await client.until_receiving()
        client.disconnect()
        with pytest.raises(NEVER, match=r"it is at work\. If it should take that long") as e:
            await client.until(anyio.Event())
        assert "receive()" not in str(e.value)


async def test_an_app_that_is_never_idle() -> None:
    async with exchange(streaming, patience=SHORT) as client:
        with pytest.raises(NEVER, match=r"busy for 0\.05 s without a pause"):
            await client.until_working()


async def test_a_response_to_a_client_that_has_left_never_comes() -> None:
    async with exchange(deaf, patience=SHORT) as client:
        client.disconnect()
        with pytest.raises(NEVER, match=r"the client has left, and what the app sends now goes to"):
            await client.until_responding()


async def test_an_app_that_asks_hypercorn_twice() -> None:
    async def twice(scope: Any, receive: Any, send: Any) -> None:
        await listening(scope, receive, send)
        await receive()

    async with exchange(twice, server="hypercorn", patience=SHORT) as client:
        await client.until_receiving()
        client.disconnect()
        with pytest.raises(NEVER, match=r"hypercorn sends it once, and then nothing"):
            await client.until_received(1)


async def test_an_app_that_does_not_send_what_is_to_fail() -> None:
    async with exchange(deaf, patience=SHORT) as client:
        await client.until_working()
        client.fail_send()
        with pytest.raises(NEVER, match=r"it sends nothing\. To leave while it works, use discon"):
            await client.result()


async def test_an_app_whose_client_has_stopped_reading() -> None:
    async with exchange(DisconnectMiddleware(pouring), patience=1) as client:
        client.stop_reading()
        with pytest.raises(NEVER, match=r"it waits in send\(\), for a client that has stopped"):
            await client.until_sent(1 << 30)


async def test_daphne_never_calls_an_app_before_the_body_is_complete() -> None:
    async with exchange(DisconnectMiddleware(unread), more_body=True, server="daphne") as client:
        for wait in (client.until_responding, client.until_working, client.until_receiving):
            with pytest.raises(NEVER, match=r"daphne calls it when the request's body is complete"):
                await wait()
        client.send(b"", more_body=False)
        await client.until_working()


async def test_what_cannot_be_sent_is_refused() -> None:
    async with exchange(listening, more_body=True) as client:
        client.send(b"", more_body=False)
        with pytest.raises(RuntimeError, match="the body is complete"):
            client.send(b"more")
    async with exchange(listening, more_body=True) as client:
        client.disconnect()
        with pytest.raises(RuntimeError, match="the client has left"):
            client.send(b"more")


async def test_an_exchange_is_entered_once() -> None:
    once = exchange(one_piece, patience=SHORT)
    async with once as client:
        await client.until_sent(5)
    with pytest.raises(RuntimeError, match="only be entered once"):
        async with once:
            pass


async def test_an_app_that_responds_without_a_start_is_told_as_by_a_server() -> None:
    async with exchange(lambda scope, receive, send: respond(send)) as client:
        result = await client.result()
    assert (result.outcome, type(result.exception)) == ("failed", RuntimeError)

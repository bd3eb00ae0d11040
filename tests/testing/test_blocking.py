"""Tests that are not async have the same client, in another thread's event loop."""

import threading
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect.testing import NeverHappened, exchange, websocket_exchange

from . import sockets
from .apps import deaf, echo, pouring, read, respond, start


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_step(backend: str) -> None:
    async def stepwise(scope: Any, receive: Any, send: Any) -> None:
        await read(receive)
        working.set()
        await start(send)
        await respond(send, b"piece", more_body=True)
        await anyio.sleep_forever()

    working = threading.Event()
    app = DisconnectMiddleware(stepwise)
    with exchange(app, body=b"ab", more_body=True, backend=backend) as client:
        client.until_received(2)
        client.until_receiving()
        client.send(b"c", more_body=False)
        client.until(working)
        client.until_responding()
        client.until_sent(5)
        assert (client.status, client.headers, client.body) == (200, [(b"x-a", b"b")], b"piece")
        assert len(client.messages) == 2
        client.until_working()
        client.disconnect()
        assert client.result().outcome == "cancelled"


def test_reading_stopped_and_send_failed(backend: str) -> None:
    with exchange(pouring, reading=False, backend=backend) as client:
        client.until_working()
        client.stop_reading()
        client.fail_send(ConnectionResetError("gone"))
        client.resume_reading()
        assert repr(client.result().exception) == "ConnectionResetError('gone')"


def test_an_answer(backend: str) -> None:
    with exchange(echo, body=b"hello", backend=backend) as client:
        assert client.result().body == b"hello"


def test_errors_come_out_and_end_the_app(backend: str) -> None:
    before = set(threading.enumerate())
    with (
        pytest.raises(NeverHappened, match="it is at work"),
        exchange(deaf, patience=0.05, backend=backend) as client,
    ):
        client.until_responding()
    assert set(threading.enumerate()) <= before


def test_an_error_of_the_apps_that_nobody_asked_about_is_raised(backend: str) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"), exchange(broken, backend=backend):
        pass


def test_every_step_of_a_websocket(backend: str) -> None:
    async def stepwise(scope: Any, receive: Any, send: Any) -> None:
        await sockets.accept(receive, send, subprotocol="v1", headers=[(b"x-a", b"b")])
        message = await receive()
        await sockets.push(send, message["bytes"])
        working.set()
        await anyio.sleep_forever()

    working = threading.Event()
    app = DisconnectMiddleware(stepwise, websocket=True)
    with websocket_exchange(app, subprotocols=["v1"], grace=0, backend=backend) as client:
        client.until_accepted()
        client.until_receiving()
        client.send(b"abc")
        assert client.receive() == b"abc"
        client.until(working)
        client.until_working()
        assert (client.accepted, client.subprotocol) == (True, "v1")
        assert (client.headers, client.sent) == ([(b"x-a", b"b")], [b"abc"])
        assert len(client.messages) == 2
        client.close(4001, "bye")
        result = client.result()
    assert (result.outcome, result.code) == ("cancelled", 4001)


def test_a_websocket_that_is_reset(backend: str) -> None:
    with websocket_exchange(sockets.echo, server="gunicorn", backend=backend) as client:
        client.until_receiving()
        client.reset()
        result = client.result()
    assert (result.outcome, result.code) == ("told", 1006)

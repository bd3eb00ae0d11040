"""How a request is refused: what is sent, and what the app hears of it (contract §2)."""

from typing import Any

import anyio
import pytest

from asgi_disconnect._exchange import answer

from ..scripted import DISCONNECT, LAST, MORE, START, Server, http_scope, piece, ticks
from .refusals import FOUR, Working, declared, status_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("sent", [[START], [START, MORE]])
@pytest.mark.parametrize("why", ["size", "time"])
async def test_nothing_more_is_sent_if_the_response_has_started(sent: list[Any], why: str) -> None:
    given = {"size": [FOUR] * 3, "time": [FOUR]}[why]
    server, app = Server(*given), Working(*sent)
    limits = {"size": {"max_body_size": 10}, "time": {"body_timeout": 0.01}}[why]
    await server.run(app, max_memory=0, **limits)
    assert server.sent == sent
    assert app.events == ["called", "cancelled"]


async def test_a_response_that_is_complete_is_left_alone() -> None:
    """Its body may still be too large; nobody is cancelled for that any more."""
    server = Server()
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(LAST)
        server.give(FOUR, FOUR, FOUR)
        await ticks(20)
        events.append("ended")

    await server.run(app, max_body_size=10)
    assert events == ["ended"]
    assert server.sent == [START, LAST]


async def test_an_app_that_is_never_cancelled_is_refused_all_the_same() -> None:
    server, events = Server(FOUR, FOUR, FOUR), []

    async def app(scope: Any, receive: Any, send: Any) -> str:
        await ticks(50)
        assert status_of(server) == 413
        while await receive() != DISCONNECT:
            pass
        await send(START)
        await send(LAST)
        events.append("ended")
        return "returned"

    assert await server.run(app, max_body_size=10, cancel=False) == "returned"
    assert events == ["ended"]
    assert status_of(server) == 413


async def test_an_app_that_is_told_and_goes_on_is_cancelled_after_grace() -> None:
    server, events = Server(piece(bytes(11))), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == DISCONNECT
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            events.append("cancelled")
            raise

    await server.run(app, max_body_size=10, grace=0.01)
    assert events == ["cancelled"]
    assert status_of(server) == 413


@pytest.mark.parametrize(
    ("http_version", "closes"), [("1.0", True), ("1.1", True), ("2", False), ("3", False)]
)
async def test_the_refusal_closes_the_connection_on_http_1_alone(
    http_version: str, closes: bool
) -> None:
    """RFC 9113, 8.2.2: on HTTP/2 the header is forbidden."""
    for scope, messages in ((declared(99), []), (http_scope(), [FOUR, FOUR, FOUR])):
        server = Server(*messages)
        await server.run(Working(), {**scope, "http_version": http_version}, max_body_size=10)
        assert status_of(server) == 413
        assert ((b"connection", b"close") in server.sent[0]["headers"]) is closes


async def test_a_server_that_cannot_send_the_refusal_harms_nothing() -> None:
    class Gone(Server):
        async def send(self, message: Any) -> None:
            raise OSError("the client has left")

    app = Working()
    for scope in (http_scope(), declared(99)):
        assert await Gone(piece(bytes(11))).run(app, scope, max_body_size=10) is None
    assert app.events == ["called", "cancelled"]


async def test_a_client_that_does_not_take_the_refusal_does_not_hold_the_exchange(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stuck(Server):
        async def send(self, message: Any) -> None:
            await anyio.sleep_forever()

    monkeypatch.setattr(answer, "ANSWER_TIMEOUT", 0.05)
    app = Working()
    for scope in (http_scope(), declared(99)):
        assert await Stuck(piece(bytes(11))).run(app, scope, max_body_size=10) is None
    assert app.events == ["called", "cancelled"]


@pytest.mark.parametrize("scope", [http_scope(), declared(99)], ids=["chunked", "declared"])
async def test_a_server_that_wants_to_be_read_before_its_response_ends_is_read(scope: Any) -> None:
    """Hypercorn: the end puts a disconnect into a queue, which is full of unread body."""

    class Full(Server):
        async def send(self, message: Any) -> None:
            while message["type"] == "http.response.body" and self.messages:
                await ticks(1)
            await super().send(message)

    app = Working()
    server = Full(*[piece(bytes(6))] * 9)
    await server.run(app, scope, max_body_size=10)
    assert status_of(server) == 413
    assert not server.reading


async def test_a_client_that_waits_for_100_continue_is_refused_without_being_asked() -> None:
    scope = declared(99)
    scope["headers"].append((b"expect", b"100-continue"))
    server = Server(FOUR)
    await server.run(Working(), scope, max_body_size=10)
    assert status_of(server) == 413
    assert server.calls == 0

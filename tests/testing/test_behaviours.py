"""The kit behaves as the real servers do, as far as an app can tell.

What it knows of them is compared with what the tests of the real servers assert.
"""

import dataclasses
from typing import Any

import anyio
import pytest

from asgi_disconnect.testing import BEHAVIOURS, Behaviour, exchange

from ..servers.configurations import CONFIGURATIONS, Configuration
from .apps import deaf, listening, pouring, read, start, streaming, unread

REAL = {each.name.replace("h2c", "h2"): each for each in CONFIGURATIONS}
PAIRS = [
    pytest.param(behaviour, real, id=name)
    for name, real in REAL.items()
    for behaviour in BEHAVIOURS.values()
    if name.startswith(behaviour.name) and (behaviour.name.endswith("h2") == name.endswith("h2"))
]


@pytest.mark.parametrize(("behaviour", "real"), PAIRS)
def test_what_is_known_of_a_server_is_what_was_seen(
    behaviour: Behaviour, real: Configuration
) -> None:
    assert behaviour.repeats_disconnect == real.repeats_disconnect
    assert behaviour.whole_body != real.calls_on_partial_upload
    assert behaviour.tells_of_completion == real.tells_of_completion
    assert behaviour.send_waits_when_gone == real.send_waits_when_gone
    assert (behaviour.cancels_after is not None) == bool(real.cancels_by_itself)
    assert behaviour.spec_version == real.spec_version
    assert behaviour.extensions == real.extensions
    assert behaviour.state == real.state
    assert (behaviour.http_version == "2") == real.http2


def test_each_real_server_is_played() -> None:
    assert len(PAIRS) == len(CONFIGURATIONS)


@pytest.fixture(params=BEHAVIOURS.values(), ids=lambda each: each.name)
def behaviour(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.anyio
async def test_the_scope(behaviour: Behaviour) -> None:
    async def look(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    seen: dict[str, Any] = {}
    async with exchange(
        look,
        "/caf%C3%A9?a=b",
        method="put",
        body=b"xyz",
        headers=[("X-Thing", "1")],
        server=behaviour.name,
        scope={"root_path": "/api"},
    ) as client:
        await client.result()
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == (
        "/café",
        b"/caf%C3%A9",
        b"a=b",
    )
    assert (seen["method"], seen["root_path"]) == ("PUT", "/api")
    assert seen["headers"] == [
        (b"host", b"testserver"),
        (b"x-thing", b"1"),
        (b"content-length", b"3"),
    ]
    assert ("state" in seen) == behaviour.state
    assert ("extensions" in seen) == (behaviour.extensions is not None)
    assert seen["asgi"].get("spec_version") == behaviour.spec_version
    assert isinstance(seen["client"][1], str) == (behaviour.name == "granian")


@pytest.mark.anyio
async def test_the_body_arrives_whole_and_in_order(behaviour: Behaviour) -> None:
    async def reading(scope: Any, receive: Any, send: Any) -> None:
        messages.append(await receive())
        while messages[-1]["more_body"]:
            messages.append(await receive())

    sent = bytes(range(256)) * 4096
    messages: list[Any] = []
    async with exchange(reading, body=sent, server=behaviour.name) as client:
        await client.result()
    assert b"".join(message["body"] for message in messages) == sent
    assert max(len(message["body"]) for message in messages) == behaviour.piece
    assert (messages[-1]["body"] == b"") == behaviour.ends_body_apart


@pytest.mark.anyio
async def test_a_second_receive_after_the_disconnect(behaviour: Behaviour) -> None:
    async def asks_again(scope: Any, receive: Any, send: Any) -> None:
        await listening(scope, receive, send)
        with anyio.move_on_after(0.05):
            again.append(await receive())

    again: list[Any] = []
    async with exchange(asks_again, server=behaviour.name) as client:
        await client.until_receiving()
        client.disconnect()
        assert (await client.result()).outcome == "told"
    assert again == ([{"type": "http.disconnect"}] if behaviour.repeats_disconnect else [])


@pytest.mark.anyio
async def test_a_body_unread_when_the_client_leaves(behaviour: Behaviour) -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        await left.wait()
        bodies.append(await read(receive))

    left = anyio.Event()
    bodies: list[Any] = []
    async with exchange(late, body=b"abc", server=behaviour.name) as client:
        await client.until_working()
        client.disconnect()
        left.set()
    assert bodies == [None if behaviour.drops_unread_body else b"abc"]


@pytest.mark.anyio
async def test_leaving_in_mid_upload(behaviour: Behaviour) -> None:
    async with exchange(read_all, body=b"ab", more_body=True, server=behaviour.name) as client:
        if not behaviour.whole_body:
            await client.until_received(2)
        client.disconnect()
        result = await client.result()
    assert result.outcome == ("uncalled" if behaviour.whole_body else "told")


async def read_all(scope: Any, receive: Any, send: Any) -> None:
    assert await read(receive) is None


@pytest.mark.anyio
async def test_receive_after_the_response(behaviour: Behaviour) -> None:
    async def listens_on(scope: Any, receive: Any, send: Any) -> None:
        await read(receive)
        await start(send)
        await send({"type": "http.response.body"})
        with anyio.move_on_after(0.05):
            heard.append(await receive())

    heard: list[Any] = []
    async with exchange(listens_on, server=behaviour.name) as client:
        assert (await client.result()).outcome == "completed"
    assert bool(heard) == behaviour.tells_of_completion


@pytest.mark.anyio
async def test_send_to_a_client_that_has_left(behaviour: Behaviour) -> None:
    async def responds_late(scope: Any, receive: Any, send: Any) -> None:
        await left.wait()
        await start(send)
        sent.append(True)

    left = anyio.Event()
    sent: list[bool] = []
    async with exchange(responds_late, server=behaviour.name, patience=0.2) as client:
        await client.until_working()
        client.disconnect()
        left.set()
        result = await client.result()
    assert result.status is None
    assert (result.outcome == "overran") == behaviour.send_waits_when_gone == (not sent)


@pytest.mark.anyio
async def test_send_to_a_client_that_does_not_read(behaviour: Behaviour) -> None:
    async with exchange(pouring, server=behaviour.name) as client:
        client.stop_reading()
        if behaviour.send_buffer is None:
            await client.until_sent(80 * 65536)
        else:
            await client.until_working()
            assert behaviour.send_buffer < len(client.body) < behaviour.send_buffer + 65537
            client.resume_reading()
        assert (await client.result()).outcome == "completed"


@pytest.mark.anyio
async def test_servers_that_cancel_by_themselves(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    if behaviour.cancels_after is not None:
        quicker = dataclasses.replace(behaviour, cancels_after=0.01)
        monkeypatch.setitem(BEHAVIOURS, behaviour.name, quicker)
    async with exchange(deaf, server=behaviour.name, patience=0.5) as client:
        await client.until_working()
        client.disconnect()
        result = await client.result()
    assert result.outcome == ("overran" if behaviour.cancels_after is None else "cancelled")


@pytest.mark.anyio
async def test_granian_loses_what_a_cancelled_receive_would_have_got(behaviour: Behaviour) -> None:
    async def hesitant(scope: Any, receive: Any, send: Any) -> None:
        with anyio.CancelScope() as at_once:
            at_once.cancel()
            await receive()
        polled.set()
        bodies.append(await read(receive))

    if behaviour.whole_body:
        pytest.skip("it has the whole body when it calls the app")
    polled = anyio.Event()
    bodies: list[Any] = []
    async with exchange(hesitant, more_body=True, server=behaviour.name) as client:
        await client.until(polled)
        client.send(b"lost")
        client.send(b"there", more_body=False)
        await client.result()
    assert bodies == [b"there" if behaviour.loses_cancelled_receive else b"lostthere"]


@pytest.mark.anyio
async def test_an_app_of_asgi_2_is_called_as_one() -> None:
    def double(scope: Any) -> Any:
        async def instance(receive: Any, send: Any) -> None:
            await start(send)
            await send({"type": "http.response.body"})

        return instance

    async with exchange(double) as client:
        assert (await client.result()).outcome == "completed"


@pytest.mark.anyio
async def test_a_stream_stops_at_its_next_piece() -> None:
    async with exchange(streaming, patience=0.1) as client:
        await client.until_sent(20)
        client.fail_send()
        assert isinstance((await client.result()).exception, BrokenPipeError)


def test_a_server_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"server must be one of uvicorn, hypercorn, .*'nginx'"):
        exchange(unread, server="nginx")  # type: ignore[arg-type]


def test_an_app_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="app must be an ASGI application"):
        exchange(None)

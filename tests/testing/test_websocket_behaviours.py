"""The kit behaves with WebSockets as the real servers do, as far as an app can tell.

What it knows of them is compared with what the tests of the real servers assert.
"""

import dataclasses
from typing import Any

import anyio
import pytest

from asgi_disconnect.testing import WEBSOCKET_BEHAVIOURS, WebSocketBehaviour, websocket_exchange

from ..servers.websocket_configurations import WEBSOCKET_CONFIGURATIONS, WebSocketConfiguration
from .sockets import accept, deaf, echo, push

# What uvicorn takes by itself is `websockets-sansio`.
NAMES = {
    "uvicorn-sansio-ws": "uvicorn",
    "hypercorn-asyncio-ws": "hypercorn",
    "hypercorn-uvloop-ws": "hypercorn",
    "hypercorn-trio-ws": "hypercorn",
    "hypercorn-h2c-ws": "hypercorn-h2",
    "daphne-ws": "daphne",
    "granian-ws": "granian",
    "gunicorn-ws": "gunicorn",
}
PAIRS = [
    pytest.param(WEBSOCKET_BEHAVIOURS[NAMES[real.name]], real, id=real.name)
    for real in WEBSOCKET_CONFIGURATIONS
    if real.name in NAMES
]


@pytest.mark.parametrize(("behaviour", "real"), PAIRS)
def test_what_is_known_of_a_server_is_what_was_seen(
    behaviour: WebSocketBehaviour, real: WebSocketConfiguration
) -> None:
    own = behaviour.own_close_code or 4000
    raises = behaviour.send_after_close
    assert (behaviour.close_code or 4001) == real.close_code
    assert behaviour.lost_code == real.lost_code
    assert (behaviour.times_told_of_close > 1) == (real.after_close == "told")
    assert (behaviour.times_told_of_loss > 1) == (real.after_loss == "told")
    assert behaviour.send_raises_when_gone == (real.push_to_gone == "OSError")
    assert behaviour.send_raises_when_gone == (real.send_when_told == "OSError")
    assert behaviour.tells_in_handshake == real.tells_in_handshake
    assert f"told {own}" == real.tells_of_own_close
    # autobahn's, of daphne, is a RuntimeError
    assert ("nothing" if raises is None else raises.__name__) == (
        real.send_after_close.replace("Disconnected", "RuntimeError")
    )
    assert (behaviour.cancels_after is not None) == bool(real.cancels_by_itself)
    assert behaviour.spec_version == real.websocket_spec_version
    assert behaviour.extensions == real.websocket_extensions
    assert ("state" not in behaviour.missing) == real.state
    assert (behaviour.http_version == "2") == real.http2


def test_each_server_is_played() -> None:
    assert {pair.values[0].name for pair in PAIRS} == {*WEBSOCKET_BEHAVIOURS}


@pytest.fixture(params=WEBSOCKET_BEHAVIOURS.values(), ids=lambda each: each.name)
def behaviour(request: pytest.FixtureRequest) -> Any:
    return request.param


async def collect(receive: Any, count: int) -> list[Any]:
    """What `receive()` gives, `count` times; None where it does not answer."""
    got: list[Any] = []
    for _ in range(count):
        got.append(None)
        with anyio.move_on_after(0.05):
            got[-1] = await receive()
    return got


@pytest.mark.anyio
async def test_the_scope(behaviour: WebSocketBehaviour) -> None:
    async def look(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await accept(receive, send, subprotocol="v2", headers=[(b"x-a", b"b")])

    seen: dict[str, Any] = {}
    async with websocket_exchange(
        look,
        "/caf%C3%A9?a=b",
        subprotocols=["v1", "v2"],
        headers=[("X-Thing", "1")],
        server=behaviour.name,
        scope={"root_path": "/api"},
    ) as client:
        await client.until_accepted()
        assert (client.subprotocol, client.headers) == ("v2", [(b"x-a", b"b")])
    assert (seen["type"], seen["path"], seen["raw_path"], seen["query_string"]) == (
        "websocket",
        "/café",
        b"/caf%C3%A9",
        b"a=b",
    )
    assert (seen["subprotocols"], seen["root_path"]) == (["v1", "v2"], "/api")
    headers = dict(seen["headers"])
    assert headers[b"sec-websocket-protocol"] == b"v1, v2"
    assert headers[b"x-thing"] == b"1"
    assert (b"upgrade" in headers) == (behaviour.http_version == "1.1")
    assert not {"method", *behaviour.missing} & {*seen}
    assert ("extensions" in seen) == (behaviour.extensions is not None)
    assert seen["asgi"].get("spec_version") == behaviour.spec_version
    assert isinstance(seen["client"][1], str) == (behaviour.name == "granian")


@pytest.mark.anyio
async def test_messages_come_in_order_and_before_the_disconnect(
    behaviour: WebSocketBehaviour,
) -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        await left.wait()
        got.extend(await collect(receive, 3))

    left = anyio.Event()
    got: list[Any] = []
    async with websocket_exchange(late, server=behaviour.name) as client:
        client.send("one")
        client.send(b"two")
        await client.until_accepted()
        client.close(4001, "bye")
        left.set()
        assert (await client.result()).outcome == "told"
    assert [got[0]["text"], got[1]["bytes"]] == ["one", b"two"]
    assert ("bytes" in got[0]) == ("text" in got[1]) == behaviour.has_both_keys
    reason = {"reason": "bye"} if behaviour.gives_reason else {}
    code = behaviour.close_code or 4001
    assert got[2] == {"type": "websocket.disconnect", "code": code, **reason}


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["close", "reset"])
async def test_how_often_the_disconnect_is_told(behaviour: WebSocketBehaviour, way: str) -> None:
    async def asks_again(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        got.extend(await collect(receive, 4))

    got: list[Any] = []
    async with websocket_exchange(asks_again, server=behaviour.name) as client:
        await client.until_receiving()
        getattr(client, way)()
        result = await client.result()
    first = behaviour.lost_code if way == "reset" else behaviour.close_code or 1000
    codes = [first, *[behaviour.lost_code] * 3]
    times = behaviour.times_told_of_loss if way == "reset" else behaviour.times_told_of_close
    told = [each["code"] if each else None for each in got]
    assert told == [code if number < times else None for number, code in enumerate(codes)]
    assert result.code == first


@pytest.mark.anyio
async def test_a_client_that_leaves_in_the_handshake(behaviour: WebSocketBehaviour) -> None:
    async def hesitates(scope: Any, receive: Any, send: Any) -> None:
        got.extend(await collect(receive, 2))

    got: list[Any] = []
    async with websocket_exchange(hesitates, server=behaviour.name) as client:
        await client.until_receiving()
        client.close(4001)
        await client.result()
    assert got[0] == {"type": "websocket.connect"}
    assert (got[1] is not None) == behaviour.tells_in_handshake
    if got[1] is not None:
        assert got[1]["code"] == behaviour.lost_code


@pytest.mark.anyio
async def test_send_to_a_client_that_has_left(behaviour: WebSocketBehaviour) -> None:
    async def pushes_late(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        await left.wait()
        await push(send, "to nobody")

    left = anyio.Event()
    async with websocket_exchange(pushes_late, server=behaviour.name) as client:
        await client.until_accepted()
        client.close()
        left.set()
        result = await client.result()
    assert result.sent == []
    assert isinstance(result.exception, OSError) == behaviour.send_raises_when_gone
    assert result.outcome == ("told" if behaviour.send_raises_when_gone else "finished")


@pytest.mark.anyio
@pytest.mark.parametrize("accepts", [True, False])
async def test_what_follows_the_apps_own_close(
    behaviour: WebSocketBehaviour, accepts: bool
) -> None:
    async def closes(scope: Any, receive: Any, send: Any) -> None:
        if accepts:
            await accept(receive, send)
        else:
            await receive()
        await send({"type": "websocket.close", "code": 4000})
        got.extend(await collect(receive, 2))
        await push(send, "too late")

    got: list[Any] = []
    async with websocket_exchange(closes, server=behaviour.name) as client:
        result = await client.result()
    code = (behaviour.own_close_code or 4000) if accepts else behaviour.refused_code
    assert got == [{"type": "websocket.disconnect", "code": code}, None]
    assert (result.code, result.status) == ((4000, None) if accepts else (None, 403))
    assert (result.outcome, result.sent) == ("completed", [])
    assert type(result.exception) is (behaviour.send_after_close or type(None))


@pytest.mark.anyio
async def test_servers_that_cancel_by_themselves(
    behaviour: WebSocketBehaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    if behaviour.cancels_after is not None:
        quicker = dataclasses.replace(behaviour, cancels_after=0.01)
        monkeypatch.setitem(WEBSOCKET_BEHAVIOURS, behaviour.name, quicker)
    async with websocket_exchange(deaf, server=behaviour.name, patience=0.5) as client:
        await client.until_accepted()
        client.close()
        result = await client.result()
    assert result.outcome == ("overran" if behaviour.cancels_after is None else "cancelled")


@pytest.mark.anyio
async def test_an_app_that_sends_before_it_accepts(behaviour: WebSocketBehaviour) -> None:
    async def eager(scope: Any, receive: Any, send: Any) -> None:
        await push(send, "hello")

    async with websocket_exchange(eager, server=behaviour.name) as client:
        result = await client.result()
    assert (result.outcome, type(result.exception)) == ("failed", RuntimeError)


def test_a_server_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match=r"server must be one of uvicorn, hypercorn, .*'nginx'"):
        websocket_exchange(echo, server="nginx")  # type: ignore[arg-type]


def test_an_app_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="app must be an ASGI application"):
        websocket_exchange(None)

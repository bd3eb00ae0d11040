"""`headers=` takes a mapping or pairs, of str or bytes, for every kind of exchange."""

from typing import Any

import pytest

from asgi_disconnect.testing import exchange, websocket_exchange

from . import sockets
from .apps import listening

pytestmark = pytest.mark.anyio

Raw = list[tuple[bytes, bytes]]


async def headers_of(kind: Any, headers: Any, **options: Any) -> Raw:
    """What the app is given, in an async test."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await (sockets.refuses if scope["type"] == "websocket" else listening)(scope, receive, send)

    async with kind(app, headers=headers, **options):
        pass
    return seen


@pytest.fixture(params=[exchange, websocket_exchange])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Token": "é"},
        {b"X-Token": b"\xe9"},
        {"X-Token": b"\xe9"},
        [("X-Token", "é")],
        [(b"x-token", b"\xe9")],
        [["X-Token", "é"]],
    ],
    ids=repr,
)
async def test_a_mapping_or_pairs_of_str_or_bytes(kind: Any, headers: Any) -> None:
    assert (b"x-token", b"\xe9") in await headers_of(kind, headers)


@pytest.mark.parametrize("kind", [exchange, websocket_exchange])
def test_a_test_that_is_not_async_gives_them_likewise(kind: Any) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(scope["headers"])
        await (sockets.refuses if scope["type"] == "websocket" else listening)(scope, receive, send)

    with kind(app, headers={"x-token": "1"}):
        pass
    assert (b"x-token", b"1") in seen


async def test_a_name_may_come_more_than_once(kind: Any) -> None:
    pairs = [("cookie", "a=1"), ("cookie", "b=2")]
    assert [value for name, value in await headers_of(kind, pairs) if name == b"cookie"] == [
        b"a=1",
        b"b=2",
    ]


async def test_what_the_test_gives_replaces_what_the_client_would_send() -> None:
    given = {"Host": "example.org", "Content-Length": "7"}
    raw = await headers_of(exchange, given, body=b"abc")
    assert sorted(raw) == [(b"content-length", b"7"), (b"host", b"example.org")]
    raw = await headers_of(websocket_exchange, {"sec-websocket-key": "mine"})
    assert [value for name, value in raw if name == b"sec-websocket-key"] == [b"mine"]


@pytest.mark.parametrize(
    "headers", ["accept", b"accept", 5, ["ab"], [("accept",)], {"accept": 1}, [(1, "a")]], ids=repr
)
def test_anything_else_is_refused_with_what_it_takes(kind: Any, headers: Any) -> None:
    with pytest.raises(TypeError, match=r'mapping, such as \{"accept": "text/plain"\}, or pairs'):
        kind(listening, headers=headers)

"""What happens to the scope (contract §1)."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from asgi_disconnect import Disconnect, current_disconnect

from ..scripted import REQUEST, Server, http_scope, ticks
from .apps import answer

pytestmark = pytest.mark.anyio


async def test_the_scope_is_copied_before_anything_is_added() -> None:
    scope = http_scope(state={"shared": 1}, extensions={})
    before = dict(scope)
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await Server().run(app, scope)
    assert scope == before
    assert seen[0] is not scope
    assert seen[0]["headers"] is scope["headers"]
    assert seen[0]["state"] is scope["state"]
    assert set(seen[0]) - set(scope) == {"asgi_disconnect"}


@pytest.mark.parametrize("watch_after", [0, 1000])
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
async def test_a_copy_of_the_scope_holds_the_very_same_disconnect(
    duplicate: Callable[[Any], Any], watch_after: float
) -> None:
    """As middlewares copy it: hypercorn's ProxyFix deeply."""
    server = Server(REQUEST)
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(duplicate(scope))
        assert kept[0] == scope
        assert kept[0] is not scope
        assert kept[0]["asgi_disconnect"] is current_disconnect()
        await ticks(10)  # the middleware watches by now, and has more that could be copied
        kept.append(duplicate(kept[0]))
        server.leave()
        await kept[1]["asgi_disconnect"].wait()

    await server.run(app, http_scope(headers=iter([(b"a", b"1")])), watch_after=watch_after)
    first, second = kept
    assert isinstance(second["asgi_disconnect"], Disconnect)
    assert duplicate(second)["asgi_disconnect"] is first["asgi_disconnect"]
    assert duplicate(first["asgi_disconnect"]) is first["asgi_disconnect"]
    assert first["asgi_disconnect"].is_set()


@pytest.mark.parametrize(
    "headers",
    [
        lambda: iter([(b"a", b"1"), (b"b", b"2")]),
        lambda: (iter(pair) for pair in [(b"a", b"1"), (b"b", b"2")]),
        lambda: [iter([b"a", b"1"]), iter([b"b", b"2"])],
    ],
)
async def test_headers_good_for_one_pass_can_be_read_by_the_app(headers: Any) -> None:
    seen: list[Any] = []

    def only(scope: Any) -> bool:
        seen.append([tuple(pair) for pair in scope["headers"]])
        return True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await ticks(5)  # by now the middleware has looked for "expect"
        seen.append([tuple(pair) for pair in scope["headers"]])
        seen.append([tuple(pair) for pair in scope["headers"]])

    await Server().run(app, http_scope(headers=headers()), only=only)
    assert seen == [[(b"a", b"1"), (b"b", b"2")]] * 3


async def test_what_a_scope_may_leave_out_is_not_missed() -> None:
    server = Server(REQUEST)
    assert await server.run(answer, {"type": "http"}) == "returned"
    assert server.types == ["start", "body"]

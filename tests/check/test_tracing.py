"""The layer that keeps the disconnect from those inside it is found by its behaviour."""

from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._check.tracing import CALLS, Trace
from asgi_disconnect.testing import exchange

pytestmark = pytest.mark.anyio


class Passing:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope}, receive, send)


class Relaying(Passing):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def relayed() -> Any:
            return await receive()

        await self.app(scope, relayed, send)


class Hiding(Passing):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, anyio.sleep_forever, send)


class HidingAfterHearing(Passing):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def relayed() -> Any:
            while (await receive())["type"] != "http.disconnect":
                pass
            await anyio.sleep_forever()

        await self.app(scope, relayed, send)


class HidingAndAskingAgain(Passing):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def relayed() -> Any:
            while True:
                await receive()

        await self.app(scope, relayed, send)


def wrapped(hiding: Any) -> Any:
    """A function, which has no class of its own to be asked."""

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await hiding(scope, receive, send)

    wrapper.app = hiding  # type: ignore[attr-defined]
    return wrapper


async def working(scope: Any, receive: Any, send: Any) -> None:
    await anyio.sleep_forever()


def stacked(*kinds: Any) -> Any:
    """An app in layers of these kinds; of new classes, since their methods are replaced."""
    app: Any = working
    for kind in reversed(kinds):
        app = wrapped(app) if kind is wrapped else type(kind.__name__, (kind,), {})(app)
    return app


async def hiders(*kinds: Any) -> list[str]:
    calls: list[Any] = []
    app = stacked(*kinds)
    trace = Trace(app)
    async with exchange(app, server="hypercorn", scope={CALLS: calls}, patience=0.1) as client:
        await client.until_working()
        await anyio.sleep(0.03)  # the middleware has begun to watch
        client.disconnect()
        await anyio.wait_all_tasks_blocked()
        return [name.rpartition(".")[2] for name in trace.hiders(calls)]


OURS = DisconnectMiddleware


@pytest.mark.parametrize(
    ("kinds", "hider"),
    [
        ((Passing, Relaying, Hiding, Passing, OURS), "Hiding"),
        ((Hiding, Passing, OURS), "Hiding"),
        ((Passing, Passing, Hiding, Relaying, Relaying, OURS), "Hiding"),
        ((Relaying, Passing, HidingAfterHearing, OURS), "HidingAfterHearing"),
        ((Relaying, HidingAfterHearing, Passing, Relaying, OURS), "HidingAfterHearing"),
        ((Relaying, HidingAndAskingAgain, OURS), "HidingAndAskingAgain"),
        ((Passing, wrapped, Hiding, OURS), "Hiding"),
    ],
)
async def test_it_is_found_wherever_it_stands(kinds: Any, hider: str) -> None:
    assert await hiders(*kinds) == [hider]


async def test_a_function_is_named_with_its_neighbour() -> None:
    assert await hiders(Hiding, wrapped, OURS) == ["Hiding", "wrapper"]


async def test_there_is_none_if_none_hides_it() -> None:
    assert await hiders(Passing, Relaying, OURS) == []
    assert await hiders(OURS) == []

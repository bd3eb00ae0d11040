"""Any ASGI callable is an app (contract §1)."""

import functools
import inspect
from typing import Any

import pytest

from asgi_disconnect import DisconnectMiddleware

from ..scripted import REQUEST, Server
from .apps import answer

pytestmark = pytest.mark.anyio


class Instance:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> str:
        return await answer(scope, receive, send)


class Endpoint:
    """As Starlette's are: called with all three, and then awaited."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.arguments = scope, receive, send

    def __await__(self) -> Any:
        return answer(*self.arguments).__await__()


class Loose(Endpoint):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments)


class WithoutSignature(Instance):
    """As callables that are written in C may be."""

    __signature__ = 5


class Double:
    def __init__(self, scope: Any) -> None:
        assert scope["type"] == "http"

    async def __call__(self, receive: Any, send: Any) -> str:
        return await answer({}, receive, send)


class LooseDouble(Double):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)


def plain(scope: Any, receive: Any, send: Any) -> Any:
    return answer(scope, receive, send)


def double(scope: Any) -> Any:
    return functools.partial(answer, scope)


class Marked(Instance):
    """As asgiref marks what it has adapted, whatever its signature says."""

    _asgi_single_callable = True
    __signature__ = inspect.signature(Double)


async def extra(first: Any, scope: Any, receive: Any, send: Any) -> str:
    return await answer(scope, receive, send)


@pytest.mark.parametrize(
    "app",
    [
        answer,
        plain,
        Instance(),
        Instance().__call__,
        Marked(),
        WithoutSignature(),
        Endpoint,
        Loose,
        functools.partial(answer),
        functools.partial(Instance()),
        functools.partial(extra, 1),
        lambda *arguments: answer(*arguments),
        DisconnectMiddleware(answer),
        Double,
        LooseDouble,
        double,
        functools.partial(double),
    ],
)
async def test_any_asgi_callable_is_wrapped(app: Any) -> None:
    server = Server(REQUEST)
    assert await server.run(app) == "returned"
    assert server.types == ["start", "body"]

"""Contract §7: labels are route templates or nothing, never what a client has made up."""

from typing import Any

import anyio
import pytest

from asgi_disconnect.instrumentation._labels import method_of
from asgi_disconnect.instrumentation._routes import route_of

from ..core.scripted import http_scope
from .exchanges import answers, serve, serve_websocket

pytestmark = pytest.mark.anyio


async def route_in(app: Any, path: str) -> str | None:
    """What is known of the route when the client of ``GET path`` has left."""
    told: list[str | None] = []

    def hook(report: Any) -> None:
        told.append(route_of(report.scope))

    scope: dict[str, Any] = {"path": path, "raw_path": path.encode(), "query_string": b""}
    await serve(app, hook, **scope)
    assert len(told) == 1
    return told[0]


async def route_of_websocket_in(app: Any, path: str) -> str | None:
    """The same of a WebSocket at `path`."""
    told: list[str | None] = []

    def hook(report: Any) -> None:
        told.append(route_of(report.scope))

    scope: dict[str, Any] = {"path": path, "raw_path": path.encode(), "query_string": b""}
    await serve_websocket(app, hook, **scope)
    assert len(told) == 1
    return told[0]


async def test_the_template_of_a_starlette_websocket_is_told() -> None:
    pytest.importorskip("starlette")
    from starlette import __version__
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    async def prices(websocket: Any) -> None:
        await websocket.accept()
        await anyio.sleep_forever()

    app = Starlette(routes=[WebSocketRoute("/prices/{stock}", prices)])
    known = int(__version__.split(".")[0]) >= 1
    expected = "/prices/{stock}" if known else None
    assert await route_of_websocket_in(app, "/prices/ACME") == expected


async def test_the_template_of_a_fastapi_websocket_is_told_with_its_prefixes() -> None:
    fastapi = pytest.importorskip("fastapi")
    router = fastapi.APIRouter(prefix="/v1")

    @router.websocket("/prices/{stock}")
    async def prices(websocket: fastapi.WebSocket, stock: str) -> None:
        await websocket.accept()
        await anyio.sleep_forever()

    app = fastapi.FastAPI()
    app.include_router(router, prefix="/api")
    assert await route_of_websocket_in(app, "/api/v1/prices/ACME") == "/api/v1/prices/{stock}"


async def test_the_template_of_a_litestar_websocket_is_told() -> None:
    litestar = pytest.importorskip("litestar")

    @litestar.websocket("/prices/{stock:str}")
    async def prices(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await anyio.sleep_forever()

    template = await route_of_websocket_in(litestar.Litestar([prices]), "/prices/ACME")
    assert template is not None
    assert template.startswith("/prices/{stock")


async def test_the_template_of_a_starlette_route_is_told() -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def item(request: Any) -> Any:
        await anyio.sleep_forever()

    app = Starlette(routes=[Route("/items/{number:int}", item)])
    from starlette import __version__

    known = int(__version__.split(".")[0]) >= 1  # before, Starlette left no route in the scope
    assert await route_in(app, "/items/17") == ("/items/{number}" if known else None)


async def test_the_template_of_a_fastapi_route_is_told_with_its_prefixes() -> None:
    pytest.importorskip("fastapi")
    from fastapi import APIRouter, FastAPI

    router = APIRouter(prefix="/v1")

    @router.get("/items/{number}")
    async def item(number: int) -> None:
        await anyio.sleep_forever()

    app = FastAPI()
    app.include_router(router, prefix="/api")
    assert await route_in(app, "/api/v1/items/17") == "/api/v1/items/{number}"


async def test_the_template_of_a_litestar_route_is_told() -> None:
    pytest.importorskip("litestar")
    from litestar import Litestar, get

    @get("/items/{number:int}")
    async def item() -> None:
        await anyio.sleep_forever()

    template = await route_in(Litestar([item]), "/items/17")
    assert template is not None
    assert template.startswith("/items/{number")


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"path": "/items/17", "raw_path": b"/items/17"},
        {"path_template": ""},
        {"path_template": 17, "route": None},
        {"route": "/items/17"},
        {"route": object(), "fastapi": None},
        {"fastapi": {}},
    ],
)
async def test_without_a_template_the_route_is_unknown(scope: dict[str, Any]) -> None:
    assert route_of(http_scope(**scope)) is None


async def test_a_method_that_a_client_has_made_up_is_not_told() -> None:
    assert method_of(http_scope(method="PATCH")) == "PATCH"
    assert method_of(http_scope(method="PATCHY")) == "_OTHER"
    assert method_of({"type": "http"}) == "_OTHER"
    assert method_of({"type": "websocket"}) == "WEBSOCKET"
    assert method_of(http_scope(method=["GET"])) == "_OTHER"


async def test_a_completed_exchange_is_not_reported() -> None:
    told: list[Any] = []
    await serve(answers, told.append)
    await serve(answers, told.append, leaves=False)
    assert not told

"""Contract §7: the route is a template with the prefixes of all that it is mounted in."""

import re
from typing import Any

import anyio
import pytest

from asgi_disconnect.instrumentation._routes import listen_to_quart, route_of

from ..core.scripted import REQUEST, Server, http_scope
from ..core.websockets.connections import WebSocketServer, websocket_scope

pytestmark = pytest.mark.anyio


class Visit:
    """A client that leaves once the handler works."""

    def __init__(self) -> None:
        self.server: Any = None
        self.told: list[str | None] = []

    async def works(self, *_: Any, **__: Any) -> Any:
        """The handler."""
        self.server.leave()
        await anyio.sleep_forever()

    def hook(self, report: Any) -> None:
        self.told.append(route_of(report.scope))

    async def to(self, app: Any, path: str, **scope: Any) -> str | None:
        """The route that is told of a request to `path`."""
        self.server = Server(REQUEST)
        whole = http_scope(**{**self._scope(path), "scheme": "http", **scope})
        await self.server.run(app, whole, on_disconnect=self.hook)
        (route,) = self.told
        return route

    async def to_websocket(self, app: Any, path: str) -> str | None:
        """The same of a WebSocket."""
        self.server = WebSocketServer()
        whole = websocket_scope(**self._scope(path), scheme="ws")
        await self.server.run(app, whole, on_disconnect=self.hook, grace=0)
        (route,) = self.told
        return route

    def _scope(self, path: str) -> dict[str, Any]:
        raw = {"raw_path": path.encode(), "query_string": b"", "http_version": "1.1"}
        return {"path": path, "root_path": "", **raw}


@pytest.fixture
def visit() -> Visit:
    return Visit()


def starlette(*routes: Any) -> Any:
    """An application of Starlette's, which leaves a route in the scope since 1.0."""
    applications = pytest.importorskip("starlette.applications")
    if int(pytest.importorskip("starlette").__version__.split(".")[0]) < 1:
        pytest.skip("Starlette leaves no route in the scope")
    return applications.Starlette(routes=list(routes))


async def test_the_template_has_the_prefixes_of_starlettes_mounts(visit: Visit) -> None:
    routing = pytest.importorskip("starlette.routing")
    item = routing.Route("/items/{number:int}", visit.works)
    inner = routing.Mount("/shops/{shop}", routes=[item])
    app = starlette(routing.Mount("/other", routes=[item]), routing.Mount("/api", routes=[inner]))
    assert await visit.to(app, "/api/shops/17/items/4") == "/api/shops/{shop}/items/{number}"


@pytest.mark.parametrize("root_path", ["", "/behind/a/proxy"])
async def test_the_template_of_a_mounted_application_has_its_prefix(
    visit: Visit, root_path: str
) -> None:
    routing = pytest.importorskip("starlette.routing")
    inner = starlette(routing.Route("/items/{number}", visit.works))
    app = starlette(routing.Mount("/v{version}", inner))
    route = await visit.to(app, f"{root_path}/v2/items/4", root_path=root_path)
    assert route == "/v{version}/items/{number}"


async def test_what_is_mounted_and_has_no_routes_is_told_by_its_mount(visit: Visit) -> None:
    routing = pytest.importorskip("starlette.routing")

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await visit.works()

    app = starlette(routing.Mount("/api", routes=[routing.Mount("/files/{user}", bare)]))
    assert await visit.to(app, "/api/files/mia/of/hers") == "/api/files/{user}/{path}"


async def test_the_template_of_a_fastapi_application_that_is_mounted_has_its_prefix(
    visit: Visit,
) -> None:
    fastapi = pytest.importorskip("fastapi")
    router = fastapi.APIRouter(prefix="/items")

    @router.get("/{number}")
    async def item(number: int) -> None:
        await visit.works()

    inner, app = fastapi.FastAPI(), fastapi.FastAPI()
    inner.include_router(router, prefix="/v1")
    app.mount("/shop", inner)
    assert await visit.to(app, "/shop/v1/items/17") == "/shop/v1/items/{number}"


async def test_the_template_of_litestars_nested_routers_is_told(visit: Visit) -> None:
    litestar = pytest.importorskip("litestar")

    @litestar.get("/items/{number:int}")
    async def item() -> None:
        await visit.works()

    router = litestar.Router("/shops/{shop:str}", route_handlers=[item])
    app = litestar.Litestar([litestar.Router("/api", route_handlers=[router])])
    template = await visit.to(app, "/api/shops/17/items/4")
    assert template is not None
    assert re.fullmatch(r"/api/shops/{shop(:str)?}/items/{number(:int)?}", template)


def quart_app(visit: Visit) -> Any:
    quart = pytest.importorskip("quart")
    app = quart.Quart(__name__)
    items = quart.Blueprint("items", __name__)
    items.route("/items/<int:number>")(visit.works)
    items.websocket("/prices/<stock>")(visit.works)
    app.register_blueprint(items, url_prefix="/api/shops/<shop>")
    return app


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_template_of_a_quart_route_is_told(visit: Visit) -> None:
    app = quart_app(visit)
    listen_to_quart()
    template = await visit.to(app, "/api/shops/17/items/4")
    assert template == "/api/shops/<shop>/items/<int:number>"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_template_of_a_quart_websocket_is_told(visit: Visit) -> None:
    app = quart_app(visit)
    listen_to_quart()
    template = await visit.to_websocket(app, "/api/shops/17/prices/ACME")
    assert template == "/api/shops/<shop>/prices/<stock>"


async def test_routes_that_are_not_understood_leave_the_template_as_it_is() -> None:
    class Route:
        path_format = "/items/{number}"

    unknown: dict[str, Any] = {"app_root_path": "", "root_path": "/api", "router": object()}
    assert route_of(http_scope(route=Route(), app=None, **unknown)) == "/items/{number}"

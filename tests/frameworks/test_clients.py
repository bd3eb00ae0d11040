"""The test clients that people use find a wrapped app as they would find it unwrapped.

They are servers of their own kind: Starlette's and Litestar's run the app in another thread's event
loop, httpx's has no disconnect but the one after the response, Quart's has a queue.
"""

from typing import Any

import pytest

from asgi_disconnect import DisconnectMiddleware

from .apps import FRAMEWORKS, Framework
from .generators import left_to_be_collected
from .journal import Journal

pytestmark = [
    pytest.mark.usefixtures("silence"),
    left_to_be_collected,
]

BODY = bytes(range(256)) * 500


@pytest.fixture(
    params=[
        pytest.param((framework, backend), id=f"{framework.name}-{backend}")
        for framework in FRAMEWORKS
        for backend in framework.backends
    ]
)
def setting(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def anyio_backend(setting: tuple[Framework, str]) -> str:
    return setting[1]


@pytest.fixture
def framework(setting: tuple[Framework, str]) -> Framework:
    return setting[0]


@pytest.mark.anyio
@pytest.mark.parametrize("watch_after", [0, 0.005])
async def test_httpx(framework: Framework, watch_after: float) -> None:
    httpx = pytest.importorskip("httpx")
    app = framework.wrapped(Journal(), watch_after=watch_after)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        quick = await client.get("/quick")
        assert (quick.status_code, quick.json()) == (200, {"quick": True})
        assert quick.headers["x-quick"] == "yes"
        assert (await client.get("/count")).text == "012"
        assert (await client.post("/echo", content=BODY)).content == BODY
        assert (await client.get("/missing")).status_code == 404


def starlette_client(framework: Framework, backend: str, journal: Journal, **options: Any) -> Any:
    testclient = pytest.importorskip("starlette.testclient")
    app = framework.wrapped(journal, **options)
    return testclient.TestClient(app, backend=backend)


class ThreadsJournal(Journal):
    """A journal for an app that runs in another thread's event loop, and of which nobody waits."""

    def __init__(self) -> None:
        self.notes = []

    def changed(self) -> None:
        pass


@pytest.mark.parametrize("watch_after", [0, 0.005])
def test_starlettes(framework: Framework, anyio_backend: str, watch_after: float) -> None:
    journal = ThreadsJournal()
    with starlette_client(framework, anyio_backend, journal, watch_after=watch_after) as client:
        assert journal.notes == ["startup"]
        quick = client.get("/quick")
        assert (quick.status_code, quick.json()) == (200, {"quick": True})
        assert client.get("/count").text == "012"
        assert client.post("/echo", content=BODY).content == BODY
        with client.stream("GET", "/count") as response:
            assert b"".join(response.iter_bytes()) == b"012"
        assert client.get("/missing").status_code == 404
    assert journal.notes == ["startup", "shutdown"]


def test_a_websocket(framework: Framework, anyio_backend: str) -> None:
    client = starlette_client(framework, anyio_backend, ThreadsJournal(), watch_after=0)
    with client, client.websocket_connect("/socket") as socket:
        socket.send_text("spam")
        assert socket.receive_text() == "spam"


@pytest.mark.parametrize("stacked", [False, True])
def test_the_lifespans_state_reaches_the_handler(stacked: bool) -> None:
    testclient = pytest.importorskip("starlette.testclient")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    from .apps.on_starlette import lifespan

    async def pool(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.pool)

    app: Any = Starlette(
        routes=[Route("/pool", pool)],
        lifespan=lifespan(ThreadsJournal()),
        middleware=[Middleware(DisconnectMiddleware)] if stacked else [],
    )
    with testclient.TestClient(app if stacked else DisconnectMiddleware(app)) as client:
        assert client.get("/pool").text == "full"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_litestars(backend: Any) -> None:
    testing = pytest.importorskip("litestar.testing")
    app = Framework("litestar-stack", "on_litestar", stacked=True).wrapped(
        ThreadsJournal(), watch_after=0
    )
    with testing.TestClient(app, backend=backend) as client:
        assert client.get("/quick").json() == {"quick": True}
        assert client.get("/count").text == "012"
        assert client.post("/echo", content=BODY).content == BODY


@pytest.mark.anyio
@pytest.mark.parametrize("setting", [(FRAMEWORKS[0], "asyncio")], indirect=True, ids=["asyncio"])
async def test_quarts() -> None:
    pytest.importorskip("quart")
    journal = Journal()
    app = Framework("quart-stack", "on_quart", stacked=True).wrapped(journal, watch_after=0)
    async with app.test_app() as running:
        client = running.test_client()
        assert await (await client.get("/quick")).get_json() == {"quick": True}
        assert await (await client.get("/count")).get_data() == b"012"
        assert await (await client.post("/echo", data=BODY)).get_data() == BODY
        async with client.websocket("/socket") as socket:
            await socket.send("spam")
            assert await socket.receive() == "spam"
    assert journal.notes == ["startup", "shutdown"]

"""What the kit says became of a WebSocket's app, with the middleware and without."""

from typing import Annotated, Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware, current_disconnect
from asgi_disconnect.testing import WEBSOCKET_BEHAVIOURS, NeverHappened, websocket_exchange

from .sockets import accept, deaf, denies, echo, greets, push, pushing, refuses

pytestmark = pytest.mark.anyio

SHORT = 0.05


def guarded(app: Any, **options: Any) -> Any:
    return DisconnectMiddleware(app, websocket=True, **options)


@pytest.fixture(params=WEBSOCKET_BEHAVIOURS)
def server(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_completed_with_the_apps_own_close(server: Any) -> None:
    for app in (greets, guarded(greets)):
        async with websocket_exchange(app, server=server) as client:
            assert await client.receive() == "hello"
            result = await client.result()
        assert (result.outcome, result.accepted, result.status) == ("completed", True, None)
        assert (result.code, result.sent) == (4000, ["hello"])
        assert (result.seconds, result.exception, result.report) == (0.0, None, None)
        assert [each["type"] for each in client.messages] == [
            *("websocket.accept", "websocket.send", "websocket.close"),
        ]


@pytest.mark.parametrize(("app", "status"), [(refuses, 403), (denies, 402)])
async def test_completed_with_a_refusal(app: Any, status: int, server: Any) -> None:
    for each in (app, guarded(app)):
        async with websocket_exchange(each, server=server) as client:
            result = await client.result()
        assert (result.outcome, result.accepted, result.status) == ("completed", False, status)
        assert (result.code, result.report) == (None, None)


async def test_completed_if_it_returns_after_it_has_accepted() -> None:
    async def brief(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        await push(send, b"\x00")

    async with websocket_exchange(guarded(brief)) as client:
        result = await client.result()
    assert (result.outcome, result.sent, result.code) == ("completed", [b"\x00"], None)


async def test_told(server: Any) -> None:
    for app in (echo, guarded(echo)):
        async with websocket_exchange(app, server=server) as client:
            client.send("hello")
            assert await client.receive() == "hello"
            client.send(b"there")
            assert await client.receive() == b"there"
            client.close(4001)
            result = await client.result()
        code = WEBSOCKET_BEHAVIOURS[server].close_code or 4001
        assert (result.outcome, result.code, result.exception) == ("told", code, None)
    assert result.report is not None
    assert (result.report.phase, result.report.code) == ("connected", code)


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_cancelled_with_the_middleware_and_overran_without(server: Any, way: str) -> None:
    for app, expected, patience in ((guarded(deaf), "cancelled", 5), (deaf, "overran", SHORT)):
        async with websocket_exchange(app, server=server, grace=0, patience=patience) as client:
            await client.until_accepted()
            getattr(client, way)()
            result = await client.result()
        assert result.outcome == expected


async def test_one_that_pushes_is_stopped_on_every_server(server: Any) -> None:
    async with websocket_exchange(guarded(pushing), server=server, grace=0) as client:
        assert await client.receive() == await client.receive() == "tick"
        client.close()
        result = await client.result()
    assert result.report is not None
    if WEBSOCKET_BEHAVIOURS[server].send_raises_when_gone:
        assert result.outcome in {"finished", "cancelled"}
    else:
        assert result.outcome == "cancelled"
    assert result.exception is None


async def test_finished_within_the_middlewares_own_grace() -> None:
    async def last_message(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        await current_disconnect().wait()
        await anyio.lowlevel.checkpoint()
        done.append(True)

    done: list[bool] = []
    async with websocket_exchange(guarded(last_message)) as client:
        await client.until_accepted()
        client.close()
        assert (await client.result()).outcome == "finished"
    assert done == [True]


async def test_ignored_is_the_middlewares_word() -> None:
    async def endures(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        current_disconnect().ignore()
        await current_disconnect().wait()

    async with websocket_exchange(guarded(endures), grace=0) as client:
        await client.until_accepted()
        client.reset()
        assert (await client.result()).outcome == "ignored"


async def test_a_grace_longer_than_the_patience_is_said_to_be_the_reason() -> None:
    async with websocket_exchange(guarded(deaf), patience=SHORT) as client:
        await client.until_accepted()
        client.close()
        with pytest.raises(NeverHappened, match=r"gives it 10 s \(grace=\).*grace=0, or a larger"):
            await client.result()


async def test_one_that_is_told_and_does_not_end_has_overrun() -> None:
    async def told_in_vain(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        await anyio.sleep_forever()

    for app in (told_in_vain, guarded(told_in_vain)):
        async with websocket_exchange(app, patience=SHORT) as client:
            await client.until_receiving()
            client.close()
            assert (await client.result()).outcome == "overran"


async def test_the_tests_grace_is_that_of_its_own_exchange_alone() -> None:
    app = guarded(deaf, grace=0.02)
    async with (
        websocket_exchange(app, grace=60, patience=SHORT) as patient,
        websocket_exchange(app) as other,
    ):
        await patient.until_accepted()
        patient.close()
        await other.until_accepted()
        other.close()
        assert (await other.result()).outcome == "cancelled"
        with pytest.raises(NeverHappened, match=r"gives it 60 s"):
            await patient.result()


async def test_failed_has_the_exception() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        raise LookupError("no such thing")

    for app in (broken, guarded(broken)):
        async with websocket_exchange(app) as client:
            result = await client.result()
        assert (result.outcome, type(result.exception)) == ("failed", LookupError)


async def test_failed_if_it_returns_without_an_answer() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async with websocket_exchange(silent) as client:
        result = await client.result()
    assert (result.outcome, result.accepted, result.exception) == ("failed", False, None)


async def test_an_error_that_nobody_asked_about_is_raised() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        async with websocket_exchange(broken):
            await anyio.wait_all_tasks_blocked()


async def test_the_block_ends_with_a_close() -> None:
    async def listens(scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        heard.append(await receive())

    heard: list[Any] = []
    async with websocket_exchange(listens, server="granian") as client:
        await client.until_accepted()
    assert [each["code"] for each in heard] == [1000]


async def test_a_starlette_app_with_the_middleware_inside() -> None:
    applications = pytest.importorskip("starlette.applications")
    from starlette.middleware import Middleware
    from starlette.routing import WebSocketRoute

    async def prices(websocket: Any) -> None:
        await websocket.accept(subprotocol="prices")
        try:
            while True:
                await websocket.send_text("17.50")
                await anyio.sleep(0.001)
        finally:
            cleaned_up.append(websocket.path_params["stock"])

    cleaned_up: list[str] = []
    app = applications.Starlette(
        routes=[WebSocketRoute("/prices/{stock}", prices)],
        middleware=[Middleware(DisconnectMiddleware, websocket=True)],
    )
    for server in ("uvicorn", "hypercorn", "granian"):
        async with websocket_exchange(
            app, "/prices/ACME", subprotocols=["prices"], server=server, grace=0
        ) as client:
            assert await client.receive() == "17.50"
            assert client.subprotocol == "prices"
            client.close(1001)
            result = await client.result()
        assert result.outcome in {"cancelled", "finished"}
        assert cleaned_up.pop() == "ACME"
    async with websocket_exchange(app, "/elsewhere") as client:
        with pytest.raises(NeverHappened, match=r"refused the handshake with 403\. Is the path"):
            await client.receive()


async def test_a_fastapi_endpoint_whose_dependency_cleans_up() -> None:
    fastapi = pytest.importorskip("fastapi")

    async def subscription() -> Any:
        try:
            yield "17.50"
        finally:
            with anyio.CancelScope(shield=True):  # for trio
                await anyio.lowlevel.checkpoint()
            cleaned_up.append(True)

    cleaned_up: list[bool] = []
    app = fastapi.FastAPI()

    @app.websocket("/prices")
    async def prices(
        websocket: fastapi.WebSocket, price: Annotated[str, fastapi.Depends(subscription)]
    ) -> Any:
        await websocket.accept()
        await websocket.send_text(price)
        try:
            await anyio.sleep_forever()
        finally:
            cleaned_up.append(False)

    async with websocket_exchange(guarded(app), "/prices", grace=0) as client:
        assert await client.receive() == "17.50"
        client.reset()
        assert (await client.result()).outcome == "cancelled"
    assert cleaned_up == [False, True]

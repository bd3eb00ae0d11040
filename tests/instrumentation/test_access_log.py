"""The hook for the access log: what it logs and what not.  On real servers: `tests/servers`."""

import io
import logging
from typing import Any

import pytest

from asgi_disconnect.instrumentation.access_log import AccessLogHook

from .exchanges import answers, pushes, serve, serve_websocket, streams, works

pytestmark = pytest.mark.anyio


async def lines_of(
    app: Any, *, status: int = 499, exchange: Any = serve, **scope: Any
) -> list[str]:
    """What is logged of one exchange."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    await exchange(app, AccessLogHook(logger, status=status), **scope)
    return stream.getvalue().splitlines()


REQUEST: dict[str, Any] = {
    "client": ("192.0.2.1", 4711),
    "path": "/orders/42",
    "query_string": b"page=2&of=%C3%A4",
    "http_version": "1.1",
}


async def test_an_unanswered_request_is_a_line_like_uvicorns() -> None:
    (line,) = await lines_of(works, **REQUEST)
    assert line == 'INFO 192.0.2.1:4711 - "GET /orders/42?page=2&of=%C3%A4 HTTP/1.1" 499'


async def test_the_status_is_the_users() -> None:
    (line,) = await lines_of(works, status=460, **REQUEST)
    assert line.endswith('" 460')


async def test_what_a_scope_may_lack_is_left_out() -> None:
    (line,) = await lines_of(works, path="/", client=None)
    assert line.startswith('INFO  - "GET / HTTP/')


async def test_the_address_may_be_of_strings() -> None:
    """As granian's is."""
    (line,) = await lines_of(works, client=("192.0.2.1", "4711"))
    assert line.startswith("INFO 192.0.2.1:4711 - ")


@pytest.mark.parametrize("app", [streams, answers])
async def test_an_answer_that_has_begun_is_the_servers_to_log(app: Any) -> None:
    assert await lines_of(app, **REQUEST) == []


async def test_an_answer_of_ours_is_the_servers_to_log() -> None:
    assert await lines_of(works, leaves=False, deadline=0.01, **REQUEST) == []


async def test_an_answer_to_nobody_makes_no_difference() -> None:
    """An app that is told may answer; uvicorn does not log that."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await answers(scope, receive, send)

    (line,) = await lines_of(app, **REQUEST)
    assert line.endswith('" 499')


async def test_a_websocket_is_no_line() -> None:
    assert await lines_of(pushes, exchange=serve_websocket) == []


@pytest.mark.parametrize("path", ["/\nCRITICAL forged", "/\r\x1b[2J", "/\udcff\u2028", "/ä"])
async def test_a_client_cannot_write_lines_of_its_own(path: str) -> None:
    query = path.encode("utf-8", "surrogateescape")
    (line,) = await lines_of(works, path=path, method="GET\n", query_string=query)
    assert line.isascii()
    assert line.isprintable()


async def test_by_default_it_is_uvicorns_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        await serve(works, AccessLogHook(), **REQUEST)
    (record,) = caplog.records
    address, path = "192.0.2.1:4711", "/orders/42?page=2&of=%C3%A4"
    assert record.args == (address, "GET", path, "1.1", 499)

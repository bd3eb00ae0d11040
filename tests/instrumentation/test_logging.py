"""The hook for the standard library's `logging`: one line, and fields for those who parse them."""

import io
import json
import logging
import re
from typing import Any

import pytest

from asgi_disconnect import ClientDisconnected
from asgi_disconnect.instrumentation.logging import LoggingHook

from .exchanges import answers, fails, pushes, serve, serve_websocket, streams, works

pytestmark = pytest.mark.anyio

SECONDS = r"\d+\.\d+ s"


class Json(logging.Formatter):
    """What JSON formatters do: all that a record has and a plain one has not."""

    plain = frozenset(vars(logging.makeLogRecord({})))

    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in self.plain}
        return json.dumps({"message": record.getMessage(), **extra})


def logger_to(stream: io.StringIO, formatter: logging.Formatter) -> logging.Logger:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger


async def lines_of(app: Any, formatter: str, level: int = logging.INFO, **scope: Any) -> list[str]:
    """What is logged of one exchange."""
    stream = io.StringIO()
    await serve(app, LoggingHook(logger_to(stream, logging.Formatter(formatter)), level), **scope)
    return stream.getvalue().splitlines()


async def test_each_premature_disconnect_is_one_line() -> None:
    (line,) = await lines_of(works, "%(levelname)s %(message)s", path="/orders/42")
    assert re.fullmatch(
        rf"INFO GET /orders/42: the client left while processing, {SECONDS} after the start;"
        rf" cancelled, {SECONDS} later",
        line,
    )


async def test_a_response_that_has_begun_is_in_the_line() -> None:
    (line,) = await lines_of(streams, "%(disconnect_status)s %(disconnect_phase)s %(message)s")
    assert line.startswith("202 responding GET /: the client left while responding")


async def test_a_deadline_is_in_the_line() -> None:
    (line,) = await lines_of(
        works, "%(disconnect_cause)s %(disconnect_status)s %(message)s", leaves=False, deadline=0.01
    )
    expected = rf"deadline 504 GET /: the deadline passed while processing, {SECONDS} after"
    assert re.match(expected, line)


async def test_a_completed_exchange_is_not_logged() -> None:
    assert await lines_of(answers, "%(message)s") == []


async def test_the_fields_are_in_the_record_for_formatters_that_write_json() -> None:
    stream = io.StringIO()
    hook = LoggingHook(logger_to(stream, Json()), route=lambda scope: "/orders/{order}")
    await serve(streams, hook, method="POST", path="/orders/42")
    fields = json.loads(stream.getvalue())
    assert fields.pop("message").startswith("POST /orders/42: ")
    assert 0 <= fields.pop("disconnect_seconds_to_end") < 5
    assert 0 <= fields.pop("disconnect_seconds_since_start") < 5
    assert fields == {
        "disconnect_method": "POST",
        "disconnect_path": "/orders/42",
        "disconnect_route": "/orders/{order}",
        "disconnect_phase": "responding",
        "disconnect_outcome": "cancelled",
        "disconnect_cause": "disconnect",
        "disconnect_bytes_received": 0,
        "disconnect_bytes_sent": 1,
        "disconnect_status": 202,
        "disconnect_code": None,
        "disconnect_exception": None,
    }


@pytest.mark.parametrize("path", ["/\nCRITICAL forged", "/\r\x1b[2J", "/\udcff\u2028", "/ä"])
async def test_a_client_cannot_write_lines_of_its_own(path: str) -> None:
    (line,) = await lines_of(works, "%(message)s", path=path, method="GET\n")
    assert line.isascii()
    assert line.isprintable()


async def test_the_query_is_not_logged() -> None:
    stream = io.StringIO()
    await serve(works, LoggingHook(logger_to(stream, Json())), query_string=b"token=secret")
    assert "secret" not in stream.getvalue()


async def test_an_error_is_a_warning_with_its_traceback() -> None:
    first, *traceback = await lines_of(fails(ValueError("the bug")), "%(levelname)s %(message)s")
    assert re.match(rf"WARNING GET /: the client left while responding, {SECONDS} ", first)
    assert first.endswith(" s later, with ValueError")
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-1] == "ValueError: the bug"
    assert any(line.endswith("raise error") for line in traceback)


async def test_another_way_to_end_is_in_the_line_alone() -> None:
    stream = io.StringIO()
    hook = LoggingHook(logger_to(stream, Json()))
    await serve(fails(ClientDisconnected()), hook)
    fields = json.loads(stream.getvalue())
    name = "asgi_disconnect.ClientDisconnected"
    assert fields["message"].endswith(f" s later, with {name}")
    assert fields["disconnect_exception"] == name
    (line,) = await lines_of(fails(ClientDisconnected()), "%(levelname)s")
    assert line == "INFO"


@pytest.mark.parametrize(
    ("level", "expected"),
    [(logging.DEBUG, "WARNING"), (logging.WARNING, "WARNING"), (logging.CRITICAL, "CRITICAL")],
)
async def test_an_error_is_logged_at_warning_or_at_the_users_level(
    level: int, expected: str
) -> None:
    line, *_ = await lines_of(fails(ValueError()), "%(levelname)s", level)
    assert line == expected


async def test_an_error_is_logged_where_departures_are_not() -> None:
    stream = io.StringIO()
    logger = logger_to(stream, logging.Formatter("%(levelname)s"))
    logger.setLevel(logging.WARNING)
    hook = LoggingHook(logger)
    await serve(works, hook)
    await serve(fails(ValueError()), hook)
    assert stream.getvalue().splitlines()[0] == "WARNING"


async def test_the_level_is_the_users() -> None:
    (line,) = await lines_of(works, "%(levelname)s", logging.WARNING)
    assert line == "WARNING"


async def test_by_default_it_logs_below_the_librarys_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "asgi_disconnect"):
        await serve(works, LoggingHook())
    (record,) = (each for each in caplog.records if each.levelno >= logging.INFO)
    assert record.name == "asgi_disconnect.report"


async def test_a_level_that_is_off_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def route(scope: Any) -> str:
        raise AssertionError("the fields were made")

    with caplog.at_level(logging.WARNING, "asgi_disconnect"):
        await serve(works, LoggingHook(route=route))
    assert not caplog.records


async def test_a_websocket_is_logged_with_its_close_code() -> None:
    stream = io.StringIO()
    hook = LoggingHook(logger_to(stream, Json()), route=lambda scope: "/prices/{stock}")
    await serve_websocket(pushes, hook, path="/prices/ACME")
    fields = json.loads(stream.getvalue())
    message = fields.pop("message")
    assert re.fullmatch(
        rf"WebSocket /prices/ACME: the client left with code 1001 while connected, {SECONDS}"
        rf" after the start; cancelled, {SECONDS} later",
        message,
    )
    assert 0 <= fields.pop("disconnect_seconds_to_end") < 5
    assert 0 <= fields.pop("disconnect_seconds_since_start") < 5
    assert fields == {
        "disconnect_method": None,
        "disconnect_path": "/prices/ACME",
        "disconnect_route": "/prices/{stock}",
        "disconnect_phase": "connected",
        "disconnect_outcome": "cancelled",
        "disconnect_cause": "disconnect",
        "disconnect_bytes_received": 5,
        "disconnect_bytes_sent": 4,
        "disconnect_status": None,
        "disconnect_code": 1001,
        "disconnect_exception": None,
    }

"""Contract §5: a bug in the cleanup of an abandoned app is told from the ordinary ways to end."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from asgi_disconnect import ClientDisconnected, DisconnectReport
from asgi_disconnect.instrumentation.errors import error_of, name_of

from ..core.scripted import REQUEST, START, Server, http_scope
from .exchanges import fails, serve


def report_with(error: BaseException | None, cause: Any = "disconnect") -> DisconnectReport:
    return DisconnectReport(
        scope=http_scope(),
        phase="processing",
        outcome="cancelled",
        cause=cause,
        seconds_since_start=2.0,
        seconds_to_end=1.0,
        bytes_received=0,
        bytes_sent=0,
        status=None,
        exception=error,
    )


class RequestAborted(Exception):
    """As Django's."""


class Disconnected(RuntimeError):
    """As autobahn's."""


class MoreSpecial(RequestAborted):
    """A user's own kind of it."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        RuntimeError("something else"),
        TimeoutError(),  # an OSError, as those of cleanup are whose resource is gone
        FileNotFoundError(),
        ExceptionGroup("", [ClientDisconnected(), ExceptionGroup("", [ValueError()])]),
        BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()]),
    ],
    ids=repr,
)
def test_an_error_is_told(error: BaseException) -> None:
    assert error_of(report_with(error)) is error


@pytest.mark.parametrize(
    "error",
    [
        None,
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        ClientDisconnected(),
        BrokenPipeError(),
        ConnectionResetError(),
        RequestAborted(),
        MoreSpecial(),
        RuntimeError("No response returned."),
        RuntimeError(
            "Unexpected ASGI message 'websocket.send', after sending 'websocket.close' or response"
            " already completed."
        ),
        Disconnected("Attempt to send on a closed protocol"),
        ExceptionGroup("", [ClientDisconnected(), ExceptionGroup("", [RequestAborted()])]),
        BaseExceptionGroup("", [asyncio.CancelledError()]),
    ],
    ids=repr,
)
def test_what_ends_an_app_because_its_client_has_left_is_no_error(
    error: BaseException | None,
) -> None:
    assert error_of(report_with(error)) is None


def test_what_the_servers_send_raises_is_no_error_whatever_it_is() -> None:
    """ASGI HTTP specification, "Disconnected Client": a subclass of OSError, of the server's."""

    class Gone(OSError):
        pass

    report = report_with(Gone(), cause="send_error")
    assert error_of(report) is None
    assert error_of(replace(report, cause="disconnect")) is report.exception


def test_a_limit_that_follows_from_the_deadline_is_no_error() -> None:
    report = report_with(TimeoutError(), cause="deadline")
    assert error_of(report) is None
    assert error_of(replace(report, cause="disconnect")) is report.exception
    assert error_of(report_with(ValueError(), cause="deadline")) is not None


def test_the_name_of_a_class_has_its_module_unless_it_is_pythons_own() -> None:
    assert name_of(ValueError()) == "ValueError"
    assert name_of(asyncio.CancelledError()) == "asyncio.exceptions.CancelledError"


@pytest.mark.anyio
async def test_what_starlette_raises_for_a_client_that_has_left_is_no_error() -> None:
    requests = pytest.importorskip("starlette.requests")
    reports: list[DisconnectReport] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await requests.Request(scope, receive).body()

    server = Server()
    server.leave()
    await server.run(app, on_disconnect=reports.append)
    (report,) = reports
    assert type(report.exception) is requests.ClientDisconnect
    assert error_of(report) is None


@pytest.mark.anyio
async def test_the_error_of_a_real_exchange_is_told() -> None:
    reports: list[DisconnectReport] = []
    error = ValueError("the bug")
    await serve(fails(error), reports.append)
    assert [error_of(report) for report in reports] == [error]


@pytest.mark.anyio
async def test_an_error_of_send_that_nobody_caught_is_none() -> None:
    class Failing(Server):
        async def send(self, message: Any) -> None:
            raise OSError("gone")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)

    reports: list[DisconnectReport] = []
    with pytest.raises(OSError, match="gone") as raised:
        await Failing(REQUEST).run(app, on_disconnect=reports.append)
    (report,) = reports
    assert report.exception is raised.value
    assert error_of(report) is None

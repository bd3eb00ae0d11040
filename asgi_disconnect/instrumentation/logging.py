"""Logs one line for each premature disconnect, with the traceback if the app failed.

    DisconnectMiddleware(app, on_disconnect=LoggingHook())

It uses the standard library's `logging`.  The record's attributes have everything that is in the
line, too, for formatters that write JSON.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from .._report import DisconnectReport
from ._routes import Route, listen_to_quart, route_of
from .errors import error_of, name_of

_CAUSES: Final = {
    "disconnect": "the client left",
    "send_error": "the client left",
    "body_too_large": "the body is too large",
    "body_timeout": "the body did not arrive",
    "no_storage": "the stored body could not be read back",
    "deadline": "the deadline passed",
}


class LoggingHook:
    """A hook that logs each report.

    The record's attributes have the names of the report's fields, and ``method``, ``path`` and
    ``route``, each with the prefix ``disconnect_``: ``disconnect_outcome``, for example.
    ``disconnect_exception`` is the name of a class.  For a WebSocket, ``disconnect_method`` is None
    and ``disconnect_code`` its close code (since 0.2).

    An app that ended with an error is logged at `logging.WARNING` at least, with the traceback,
    which nobody else would show.  What frameworks raise because the client has left is not an error
    (`instrumentation.errors`).

    Since 0.1.

    :param logger: where to log; ``asgi_disconnect.report`` by default.
    :param level: `logging.INFO` by default: a client that leaves is not a server error.
    :param route: takes the scope, and returns the template of the route that was taken, or None;
        by default, what Starlette, FastAPI, Litestar, Quart and Django say.
    """

    def __init__(
        self,
        logger: "logging.Logger | None" = None,
        level: int = logging.INFO,
        *,
        route: Route = route_of,
    ) -> None:
        self._logger = logger or logging.getLogger("asgi_disconnect.report")
        self._level = level
        self._route = route
        listen_to_quart()

    def __call__(self, report: DisconnectReport) -> None:
        """Log `report`."""
        error = error_of(report)
        level = self._level if error is None else max(self._level, logging.WARNING)
        if not self._logger.isEnabledFor(level):
            return
        # The path is decoded and may contain line ends; the query may contain secrets.
        request = f"{_kind_of(report.scope)} {_printable(report.scope, 'path')}"
        self._logger.log(
            level,
            "%s: %s%s while %s, %.3f s after the start; %s, %.3f s later%s",
            request,
            _CAUSES.get(report.cause, report.cause),
            "" if report.code is None else f" with code {report.code}",
            report.phase,
            report.seconds_since_start - report.seconds_to_end,
            report.outcome,
            report.seconds_to_end,
            "" if report.exception is None else f", with {name_of(report.exception)}",
            exc_info=error,
            extra=self._fields(report),
        )

    def _fields(self, report: DisconnectReport) -> dict[str, Any]:
        return {
            "disconnect_method": report.scope.get("method"),
            "disconnect_path": report.scope.get("path"),
            "disconnect_route": self._route(report.scope),
            "disconnect_phase": report.phase,
            "disconnect_outcome": report.outcome,
            "disconnect_cause": report.cause,
            "disconnect_seconds_since_start": report.seconds_since_start,
            "disconnect_seconds_to_end": report.seconds_to_end,
            "disconnect_bytes_received": report.bytes_received,
            "disconnect_bytes_sent": report.bytes_sent,
            "disconnect_status": report.status,
            "disconnect_code": report.code,
            "disconnect_exception": report.exception and name_of(report.exception),
        }


def _kind_of(scope: Mapping[str, Any]) -> str:
    return "WebSocket" if scope.get("type") == "websocket" else _printable(scope, "method")


def _printable(scope: Mapping[str, Any], key: str) -> str:
    return quote(str(scope.get(key, "?")), safe="/:@!$&'()*+,;=?", errors="replace")

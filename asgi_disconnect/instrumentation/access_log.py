"""Adds a line with the status 499 to the access log for each request that was not answered.

    DisconnectMiddleware(app, on_disconnect=AccessLogHook())

uvicorn and daphne log a request when they answer it, so one that is abandoned earlier leaves no
line.  Here it gets one, with nginx's status: 499, "client closed request".
"""

import logging
from typing import Any, Final
from urllib.parse import quote

from .._report import DisconnectReport
from .._types import Scope
from ._abandoned import LEFT

_SAFE: Final = "/:@!$&'()*+,;="


class AccessLogHook:
    """A hook that logs the requests whose client left before the response had started.

    It logs as uvicorn does, so that uvicorn's formatter works, and any other that knows its
    records: their `args` are the client's address, the method, the path with the query, the HTTP
    version, and the status.  If the response had started, or the client got one of ours, such as
    ``504``, the server logs the request, and this does not.  WebSockets are left out.

    hypercorn, granian and gunicorn log abandoned requests themselves, so they do not need this
    hook.

    Since 0.2.

    :param logger: where to log; ``uvicorn.access`` by default, which ``--no-access-log`` turns off.
        With daphne the line goes to daphne's log.
    :param level: `logging.INFO` by default, as uvicorn's.
    :param status: the status to log (default 499).
    """

    def __init__(
        self,
        logger: "logging.Logger | None" = None,
        level: int = logging.INFO,
        *,
        status: int = 499,
    ) -> None:
        self._logger = logger or logging.getLogger("uvicorn.access")
        self._level = level
        self._status = status

    def __call__(self, report: DisconnectReport) -> None:
        """Log the request of `report`, if nobody else does."""
        scope = report.scope
        answered = report.phase == "responding"
        if answered or report.cause not in LEFT or scope.get("type") != "http":
            return
        self._logger.log(
            self._level,
            '%s - "%s %s HTTP/%s" %d',
            _address_of(scope),
            quote(str(scope.get("method", "?")), safe=""),
            _path_of(scope),
            scope.get("http_version", "?"),
            self._status,
        )


def _address_of(scope: Scope) -> str:
    client: Any = scope.get("client")
    return "{}:{}".format(*client) if client else ""


def _path_of(scope: Scope) -> str:
    path = quote(str(scope.get("path", "?")), safe=_SAFE, errors="replace")
    query: Any = scope.get("query_string")
    return f"{path}?{quote(query, safe=_SAFE + '?%')}" if query else path

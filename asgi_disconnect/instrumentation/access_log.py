"""A line in the access log, with the status 499, for each request that was not answered.

    DisconnectMiddleware(app, on_disconnect=AccessLogHook())

uvicorn and daphne log a request when it is answered, so one that is abandoned before leaves no
line.  It gets nginx's status for it here: 499, "client closed request".
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

    As uvicorn does it, so that its formatter can be used, and any other that knows its records:
    their `args` are the client's address, the method, the path with the query, the HTTP version,
    and the status.  Where the response had started, or the client got one of ours, as ``504``, the
    server has logged that, and this does not.  WebSockets are left out.

    hypercorn, granian and gunicorn log abandoned requests by themselves: they need no such hook.

    Since 0.2.

    :param logger: where to log; uvicorn's, ``uvicorn.access``, by default.  uvicorn turns that off
        with its own lines (``--no-access-log``).  With daphne the line goes to daphne's log.
    :param level: `logging.INFO` by default, as uvicorn's.
    :param status: what is logged as the status.
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

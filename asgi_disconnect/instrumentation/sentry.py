"""Keeps abandoned requests from being errors in Sentry, with `sentry_sdk`.

    DisconnectMiddleware(app, on_disconnect=SentryHook())

Sentry's integrations may be around our middleware, as FastAPI's and Starlette's are if you use
`add_middleware`, or inside it.  Inside, their transaction has ended when a hook is called, so the
hook also looks at what is about to be sent.
"""

import sys
from typing import Any, Final

import sentry_sdk
from sentry_sdk.consts import SPANSTATUS
from sentry_sdk.scope import add_global_event_processor

from .._report import DisconnectReport
from ._abandoned import LEFT, cause_now
from .errors import error_of, is_error

CAUSE: Final = "asgi_disconnect.cause"

_OF_SERVERS: Final = frozenset({"http.server", "websocket.server"})

_looks: bool = False
"""Whether we look at what is about to be sent: once per process, however many hooks there are."""


class SentryHook:
    """A hook that sends the errors of abandoned requests, and only those.

    - The request's transaction has the status ``cancelled``, which Sentry does not count as a
      failure.
    - What frameworks raise because the client has left is not sent (`instrumentation.errors`).
    - A real error, such as a bug in a `finally`, is sent, even if the server never sees it.
    - Each has the tag ``asgi_disconnect.cause``: ``disconnect``, ``send_error``, or, for an error,
      whatever cause the report has.

    Since 0.2.
    """

    def __init__(self) -> None:
        global _looks
        if not _looks:
            add_global_event_processor(_look_at)
            _looks = True

    def __call__(self, report: DisconnectReport) -> None:
        """Send the error of `report`, and mark the transaction around us."""
        error = error_of(report)
        cause = LEFT.get(report.cause)
        span = sentry_sdk.get_current_span()
        transaction = span and span.containing_transaction
        if transaction and cause is not None:
            transaction.set_tag(CAUSE, cause)
            if error is None:
                transaction.set_status(SPANSTATUS.CANCELLED)
        if error is not None and _is_kept_back(report):
            with sentry_sdk.new_scope() as scope:
                scope.set_tag(CAUSE, report.cause)
                sentry_sdk.capture_exception(error)


def _is_kept_back(report: DisconnectReport) -> bool:
    """Whether nobody around us sees the error; otherwise Sentry or the server has it anyway."""
    if report.cause not in LEFT or report.outcome in {"cancelled", "overran"}:
        return True
    return report.outcome == "told" and report.cause == "disconnect"


def _look_at(event: Any, hint: Any) -> Any:
    """What to send instead of `event`, which is about to be sent; None for nothing."""
    cause = cause_now()
    if cause is None:
        return event
    if event.get("type") == "transaction":
        error = sys.exception()  # what ended it, if anything
        trace = event.get("contexts", {}).get("trace", {})
        if trace.get("op") in _OF_SERVERS and (error is None or not is_error(error, cause)):
            trace["status"] = SPANSTATUS.CANCELLED
    else:
        raised: Any = hint and hint.get("exc_info")
        if raised and raised[1] is not None and not is_error(raised[1], cause):
            return None
    event.setdefault("tags", {}).setdefault(CAUSE, cause)
    return event

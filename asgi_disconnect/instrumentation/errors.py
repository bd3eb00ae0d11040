"""Tells which exceptions of abandoned apps are errors that somebody should look at.

Most are not: a framework, or the code in it, ends that way when it is told that the client has
left.  Anything else, except a cancellation, is a bug or failed cleanup.
"""

from typing import Final, cast

from .._departure.causes import Cause
from .._report import DisconnectReport

_OF_THE_DEPARTURE: Final = frozenset(
    {
        "ClientDisconnect",  # Starlette
        "ClientDisconnected",  # ours, uvicorn, Werkzeug
        "ClientDisconnectedError",  # Quart
        "Disconnected",  # autobahn, in daphne
        "MessageAborted",  # BlackSheep
        "RequestAborted",  # Django
        "WebSocketDisconnect",  # Starlette, Litestar
        "WebSocketDisconnected",  # Starlette
    }
)
"""Names of classes, because nothing optional is imported."""

_OF_CONNECTIONS: Final = frozenset(
    {
        "BrokenPipeError",
        "CancelledError",
        "Cancelled",  # trio's
        "ConnectionAbortedError",
        "ConnectionError",
        "ConnectionResetError",
    }
)
"""Other names that are not errors, if there is nothing but a name."""

_SENT_TO_NOBODY: Final = "Unexpected ASGI message 'websocket.send', after sending"
"""What uvicorn's `websockets` says about a push after the app was told that its client has left.

It says the same after the app's own close, but then there is no report.
"""


def error_of(report: DisconnectReport) -> BaseException | None:
    """The exception that the app ended with, if it is an error and not just how departures end.

    These are no errors: cancellations and what ends the process; what frameworks raise because the
    client has left; a `ConnectionError`, and any `OSError` if the server's `send` has raised one; a
    `TimeoutError` if the deadline has passed.  A group is an error if anything in it is.

    Since 0.2.
    """
    error = report.exception
    return error if error is not None and is_error(error, report.cause) else None


def name_of(error: BaseException) -> str:
    """The name of an exception's class, with its module unless it is Python's own.  Since 0.2."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def is_name_of_error(name: str) -> bool:
    """Whether an exception is an error, judged by its `name_of` alone."""
    return name.rpartition(".")[2] not in _OF_THE_DEPARTURE | _OF_CONNECTIONS


def is_error(error: BaseException, cause: Cause) -> bool:
    """Whether `error`, raised after a disconnect for `cause`, is an error: see `error_of`."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return any(is_error(each, cause) for each in group.exceptions)
    if not isinstance(error, Exception) or isinstance(error, ConnectionError):
        return False
    if isinstance(error, OSError) and cause == "send_error":
        return False
    if isinstance(error, TimeoutError) and cause == "deadline":
        return False  # from work that had only the time that was left
    if isinstance(error, RuntimeError) and str(error) == "No response returned.":
        return False  # `BaseHTTPMiddleware`, if the app ended because it was told
    if isinstance(error, RuntimeError) and str(error).startswith(_SENT_TO_NOBODY):
        return False
    return not any(kind.__name__ in _OF_THE_DEPARTURE for kind in type(error).__mro__)

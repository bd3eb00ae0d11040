"""What the metrics share: labels with few values, whatever clients send, and buckets."""

from typing import Final

from .._types import Scope

METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
OTHER: Final = "_OTHER"
"""Any other method: the name that OpenTelemetry's semantic conventions give it."""
WEBSOCKET: Final = "WEBSOCKET"
"""Stands for the method that a WebSocket does not have."""

BUCKETS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Seconds: from a quick request to the long answer of a language model."""


def method_of(scope: Scope) -> str:
    """The request's method if it is known, or `OTHER`; `WEBSOCKET` for a WebSocket."""
    if scope.get("type") == "websocket":
        return WEBSOCKET
    method: object = scope.get("method")
    return method if isinstance(method, str) and method in METHODS else OTHER

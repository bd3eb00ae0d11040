"""Tracks how far the app's answer to a request or a WebSocket is, by what it sends."""

from collections.abc import Iterator
from typing import Any, Protocol

from .._exchange.connection import CLOSED, CONNECTING, Connection
from .._exchange.connection import TABLE as OF_WEBSOCKETS
from .._exchange.response import COMPLETE, NOT_STARTED, Response, advance, next_state
from .._types import Message


class Answer(Protocol):
    """An answer, and how far it is."""

    @property
    def complete(self) -> bool:
        """Nothing is left to send."""
        ...

    def note(self, message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
        """What there is to tell about `message` before it is sent, except that it is the last."""
        ...


class OfRequest:
    """The response to a request."""

    def __init__(self) -> None:
        self._response: Response = NOT_STARTED

    @property
    def complete(self) -> bool:
        """Whether the response is complete."""
        return self._response is COMPLETE

    def note(self, message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
        """Tell when the response starts."""
        before, self._response = self._response, advance(self._response, message)
        if before is NOT_STARTED and self._response is not NOT_STARTED:
            yield "started", {"status": message.get("status")}


class OfWebSocket:
    """The answer to a WebSocket."""

    def __init__(self) -> None:
        self._connection: Connection = CONNECTING

    @property
    def complete(self) -> bool:
        """Whether the app has closed or denied it."""
        return self._connection is CLOSED

    def note(self, message: Message) -> Iterator[tuple[str, dict[str, Any]]]:
        """Tell when the app accepts."""
        before = self._connection
        self._connection = next_state(OF_WEBSOCKETS, before, message)
        if before is CONNECTING and self._connection is Connection.ACCEPTED:
            yield "started", {}

"""What became of an exchange under test."""

from dataclasses import dataclass, field
from typing import Literal

from .._report import DisconnectReport

Outcome = Literal[
    "completed",
    "failed",
    "told",
    "cancelled",
    "overran",
    "ignored",
    "finished",
    "uncalled",
]
"""What became of the app; `Result.outcome` says what each means."""


@dataclass(frozen=True)
class Result:
    """What became of the app, once it has ended.  Since 0.1."""

    outcome: Outcome
    """What became of the app.

    With its client there: ``completed``: the response was complete.  ``failed``: it ended before
    that, with an exception or without one.

    With its client gone before the response was complete, or its deadline past: ``told``:
    `receive()` gave it the disconnect or `send()` raised, and it ended in its own way.
    ``cancelled``: it was cancelled, by `DisconnectMiddleware` or by the server.  ``overran``: it
    still ran after `patience` seconds; or the middleware says so (`DisconnectReport.outcome`).
    ``ignored``: the middleware had been told not to cancel it.  ``finished``: it ended by itself,
    neither told nor cancelled; an app without the middleware that does not listen worked for nobody
    until then.  ``uncalled``: the server never called it (daphne waits for the whole body).
    """
    status: int | None
    """The response's status, if it had started while the client was there."""
    body: bytes
    """What the client got of the response's body."""
    seconds: float
    """Seconds that the app ran on after its client had left; 0 if it was over before."""
    exception: Exception | None
    """What the app raised to its server."""
    report: DisconnectReport | None = field(repr=False)
    """What `DisconnectMiddleware` reports, if one guards the app, and the client left too early or
    the deadline passed."""


@dataclass(frozen=True)
class WebSocketResult:
    """What became of a WebSocket's app, once it has ended.  Since 0.2."""

    outcome: Outcome
    """What became of the app.

    With its client there: ``completed``: the app closed the connection, or refused it, or accepted
    it and returned.  ``failed``: it raised before that, or returned without an answer.

    With its client gone before that, as in `Result.outcome`: ``told``, ``cancelled``, ``overran``,
    ``ignored`` or ``finished``.  With `grace`, an app that ends by itself in that time without
    the disconnect has ``finished``.
    """
    accepted: bool
    """Whether the app accepted the connection."""
    status: int | None
    """The status with which the app refused the handshake: 403 if it closed, or its own."""
    code: int | None
    """The connection's close code: the app's if it closed, otherwise the server's for the client's
    departure, as in `DisconnectReport.code`; None if there was neither."""
    sent: list[str | bytes]
    """What the app sent while the client was there, in order."""
    seconds: float
    """Seconds that the app ran on after its client had left; 0 if it was over before."""
    exception: Exception | None
    """What the app raised to its server."""
    report: DisconnectReport | None = field(repr=False)
    """What `DisconnectMiddleware` reports, if one guards the app and the client left too early."""

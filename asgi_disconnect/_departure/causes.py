"""Names why an exchange cannot be completed, and what became of its app (contract §7)."""

from typing import Final, Literal

Cause = Literal[
    "disconnect", "send_error", "body_too_large", "body_timeout", "no_storage", "deadline"
]
"""Why the exchange cannot be completed.

The client has left (the server's `receive` said so, or its `send` raised); or the body cannot be
received (it is too large, does not arrive, or cannot be read back from the disk); or the deadline
has passed.
"""

Outcome = Literal["told", "cancelled", "overran", "ignored", "finished"]
"""What became of the app; `DisconnectReport` says what each means."""

Phase = Literal["receiving", "processing", "responding", "connected"]
"""What a departure interrupts: receiving the body, processing, the response; or a WebSocket."""

BY_REFUSAL: Final = frozenset({"body_too_large", "body_timeout", "no_storage", "deadline"})
"""The causes for which we answer for the app."""

SEND_ERROR_GRACE: Final = 1.0
"""Seconds of its `grace` that an app has once the server's `send` has raised.

The error tells the app, and most apps let it pass and end.  One that goes on does not listen.
"""

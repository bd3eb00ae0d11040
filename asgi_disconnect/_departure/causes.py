"""Why an exchange cannot be completed, and what became of its app: words of the contract (§7)."""

from typing import Final, Literal

Cause = Literal[
    "disconnect", "send_error", "body_too_large", "body_timeout", "no_storage", "deadline"
]
"""Why the exchange cannot be completed.

The client has left, because the server's `receive` said so or its `send` raised; or the body cannot
be received, because it is too large, does not arrive, or was stored and cannot be read back; or the
deadline has passed.
"""

Outcome = Literal["told", "cancelled", "overran", "ignored", "finished"]
"""What became of the app; `DisconnectReport` says what each means."""

Phase = Literal["receiving", "processing", "responding", "connected"]
"""What a departure interrupts: receiving the body, processing, the response; or a WebSocket."""

BY_REFUSAL: Final = frozenset({"body_too_large", "body_timeout", "no_storage", "deadline"})
"""The causes for which we answer in the app's stead."""

SEND_ERROR_GRACE: Final = 1.0
"""Seconds that an app has, of its `grace`, once the server's `send` has raised.

It is told by that, and most apps let the error pass and end.  One that goes on does not listen.
"""

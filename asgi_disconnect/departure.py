"""What a premature disconnect does to the app: told first, then cancelled.

Contract §4, and the only place that decides it.  The exchange has latched the disconnect and woken
whoever waits for it before this runs.  Django, Quart and streaming responses listen for themselves
and clean up when told, which they do not when they are cancelled from outside; so an app that
listens gets `grace` seconds, and one that does not is cancelled at once.
"""

import math
from typing import Literal, Protocol

from anyio import sleep
from anyio.lowlevel import checkpoint

from .options import Options

Cause = Literal["disconnect", "send_error", "body_too_large", "body_timeout", "no_storage"]
"""Why the exchange cannot be completed.

The client has left, because the server's `receive` said so or its `send` raised; or the body cannot
be received, because it is too large, does not arrive, or cannot be kept.
"""


class Departing(Protocol):
    """What is to be known of an exchange whose client has left."""

    told: bool
    """The app has been given the disconnect."""
    cancelled: bool
    """We have cancelled the app."""

    @property
    def complete(self) -> bool:
        """The response is complete."""
        ...

    @property
    def stuck(self) -> bool:
        """A message that the app has sent since waits, which it does for ever on some servers."""
        ...


class Cancellable(Protocol):
    """What can be done to the app."""

    async def cancel_app(self, cleanup_timeout: float) -> None:
        """Cancel it, and give the cleanup that this begins `cleanup_timeout` seconds."""

    async def checkpoint(self) -> None:
        """Called by the app itself: be reached here by a cancellation that has not reached it."""


async def carry_out(exchange: Departing, options: Options, guard: Cancellable) -> None:
    """Do to the app what `options` say; is itself cancelled when the app ends before."""
    if not options.cancel:
        return
    # A call of `receive()` that waits takes a tick to return, and the end of the response may be on
    # its way in this very tick; neither is to be cancelled.  Two, since trio runs a tick's tasks in
    # any order.
    await checkpoint()
    await checkpoint()
    if exchange.told:
        if options.grace == math.inf:
            return
        await sleep(options.grace)
    if not exchange.complete or exchange.stuck:
        exchange.cancelled = True
        await guard.cancel_app(options.cleanup_timeout)

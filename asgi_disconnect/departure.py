"""What a premature disconnect does to the app: told first, then cancelled.

Contract §4, and the only place that decides it.  The exchange has latched the disconnect and woken
whoever waits for it before this runs.  Django, Quart and streaming responses listen for themselves
and clean up when told, which they do not when they are cancelled from outside; so an app that
listens gets `grace` seconds, and one that does not is cancelled at once.
"""

import math
from typing import Protocol

from anyio import sleep
from anyio.lowlevel import checkpoint

from .options import Options


class Departing(Protocol):
    """What is to be known of an exchange whose client has left."""

    told: bool
    """The app has been given the disconnect, or is about to be."""
    cancelled: bool
    """We have cancelled the app."""

    @property
    def complete(self) -> bool:
        """The response is complete."""


class Cancellable(Protocol):
    """What can be done to the app."""

    async def cancel_app(self) -> None:
        """Cancel it, and see to it that its cleanup can finish."""


async def carry_out(exchange: Departing, options: Options, guard: Cancellable) -> None:
    """Do to the app what `options` say; is itself cancelled when the app ends before."""
    if not options.cancel:
        return
    if not exchange.told:
        # The end of the response may be on its way in this very tick, and so may be the call
        # that tells the app.  Neither is to be cancelled.
        await checkpoint()
    if exchange.told:
        if options.grace == math.inf:
            return
        await sleep(options.grace)
    if not exchange.complete:
        exchange.cancelled = True
        await guard.cancel_app()

"""What becomes of a WebSocket's app when its client leaves (contract §9).

Many WebSockets end normally with the client's close, while the app still works on the last message.
So the app has `grace` seconds whether it listens or not, and one that gets the disconnect in that
time is never cancelled.
"""

import anyio

from .causes import SEND_ERROR_GRACE
from .departure import Departing, Departure


class WebSocketDeparture(Departure):
    """The departure of a WebSocket's client."""

    __slots__ = ()

    @property
    def abandoned(self) -> bool:
        """Whether the app raises because its client has left.

        Frameworks turn what the server's `send` raises into errors of their own, which no server
        takes for the end of a connection.
        """
        return self.cause is not None and self._options.cancel and not self.ignored

    def tell(self) -> None:
        """The app is given the disconnect, and is not cancelled after that."""
        if self.cancelled and self._guard is not None and not self._guard.has_cancelled:
            self.cancelled = self.overran = False
        super().tell()

    def _is_called_off(self) -> bool:
        """Whether to call off a cancellation that has not reached the app yet."""
        return self.told

    async def _outlasts_grace(self, exchange: Departing, *, told: bool) -> bool:
        if not told:
            await anyio.sleep(self._options.grace)
            if self.send_failed:  # the app is ending because of that: spare its cleanup
                await anyio.sleep(SEND_ERROR_GRACE)
        return not (self.told or exchange.listens)

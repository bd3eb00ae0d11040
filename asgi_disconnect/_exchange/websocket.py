"""One WebSocket (contract §9).

Server `receive` -> reader -> messages -> the app's `receive`; the app's `send` -> connection ->
server `send`.  Unlike HTTP, nothing is read before the app has read ``websocket.connect``, messages
are never joined, and the app has `grace` seconds whether it listens or not.
"""

from typing import Final

from anyio.lowlevel import checkpoint

from .._departure.causes import Phase
from .._departure.departure import Departure
from .._departure.of_websocket import WebSocketDeparture
from .._guards.protocol import Guard
from .._options import Options
from .._types import Message, Receive, Scope, Send
from .connection import CLOSED, CONNECTING, TABLE, Connection
from .exchange import Exchange
from .message_watcher import MessageWatcher
from .reader import BETWEEN, HELD, IDLE
from .response import next_state
from .turns import is_time_for_a_turn

_BEFORE_THE_APP_READS: Final = frozenset({IDLE, HELD, BETWEEN})


class WebSocketExchange(Exchange):
    """One WebSocket, from the handshake to its end."""

    disconnect_type = "websocket.disconnect"

    __slots__ = ("_has_read_connect", "connection")

    def __init__(
        self, options: Options, guard: Guard, scope: Scope, receive: Receive, send: Send
    ) -> None:
        super().__init__(options, guard, scope, receive, send)
        self.connection: Connection = CONNECTING
        """Where the connection stands."""
        self._has_read_connect = False

    @property
    def complete(self) -> bool:
        """The app has closed the connection, or denied it."""
        return self.connection is CLOSED

    @property
    def phase(self) -> Phase:
        """What a departure interrupts."""
        return "connected"

    def _make_departure(self) -> Departure:
        return WebSocketDeparture(self.options, self.guard)

    def get_watcher(self) -> MessageWatcher:
        """The watcher, which is made when it is first needed."""
        watcher = self.watcher
        if not isinstance(watcher, MessageWatcher):
            watcher = self.watcher = MessageWatcher()
        return watcher

    def must_wait_for_app(self) -> bool:
        """Whether the app has to read first: servers and frameworks break otherwise."""
        return not self._has_read_connect and self.reader in _BEFORE_THE_APP_READS

    async def receive(self) -> Message:
        """The app's `receive`."""
        message = await super().receive()
        self._has_read_connect = True
        return message

    def note_sent(self, message: Message) -> None:
        """The app is about to send `message`."""
        self.connection = next_state(TABLE, self.connection, message)

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        departure = self.departure_so_far
        if departure is not None and departure.cause is not None:
            await self.send_after_departure(message, departure)
            return
        self.note_sent(message)
        try:
            await self.server_send(message)
        except OSError:
            # The app can still read what the client sent before it left, then the disconnect.
            premature = self.depart("send_error")
            self.departure.send_failed = True
            if premature:
                self.guard.start(self.carry_out_departure)
            raise
        if is_time_for_a_turn(self):
            await checkpoint()

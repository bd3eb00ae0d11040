"""One HTTP request and its response.

Server `receive` -> reader -> body -> the app's `receive`; the app's `send` -> response -> server
`send`.  `_departure` decides what a disconnect does; here the two states meet.
"""

import functools
from typing import Any

from anyio.lowlevel import checkpoint

from .._departure.causes import Phase
from .._guards.protocol import Guard
from .._options import Options
from .._types import Message, Receive, Scope, Send
from .answer import answer
from .body_watcher import BodyWatcher
from .exchange import Exchange
from .headers import announces_body, expects_continue
from .limits import Refused
from .reader import HELD, IDLE
from .response import COMPLETE, NOT_STARTED, TABLE, Response, next_state
from .servers import is_gunicorns
from .turns import is_time_for_a_turn


class HTTPExchange(Exchange):
    """One HTTP request and its response."""

    disconnect_type = "http.disconnect"

    __slots__ = ("response",)

    def __init__(
        self, options: Options, guard: Guard, scope: Scope, receive: Receive, send: Send
    ) -> None:
        # Without `super()`, which would cost each request a call.
        self.options = options
        self.guard = guard
        self.scope = scope
        self.server_receive = receive
        self.server_send = send
        self.reader = IDLE
        self.watcher = self.departure_so_far = self.disconnect = None
        self.latest_turn = 0.0
        self.has_asked = self.request_complete = self.over = False
        self.response: Response = NOT_STARTED
        """Where the response stands."""

    @property
    def complete(self) -> bool:
        """The response is complete."""
        return self.response is COMPLETE

    @property
    def phase(self) -> Phase:
        """What a departure interrupts now."""
        if self.response is not NOT_STARTED:
            return "responding"
        if not self.request_complete and announces_body(self.headers):
            return "receiving"
        return "processing"

    @property
    def headers(self) -> Any:
        """The request's headers."""
        return self.scope.get("headers", ())

    def get_watcher(self) -> BodyWatcher:
        """The watcher, which is made when it is first needed."""
        watcher = self.watcher
        if not isinstance(watcher, BodyWatcher):
            watcher = self.watcher = BodyWatcher()
        return watcher

    def must_be_watched(self) -> bool:
        """Whether the watcher has to read what the app asks for."""
        if self.over:  # asked by a task that the app left behind
            return False
        if self.request_complete:
            return self._server_is_gunicorn()
        return self.options.bounds_body

    def _server_is_gunicorn(self) -> bool:
        return is_gunicorns(self.server_receive)

    def must_wait_for_app(self) -> bool:
        """Whether the app has to read first: reading makes a server send ``100 Continue``."""
        untouched = self.reader is HELD or (self.reader is IDLE and not self.has_asked)
        return untouched and expects_continue(self.headers)

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        departure = self.departure_so_far
        if departure is not None and departure.cause is not None:
            await self.send_after_departure(message, departure)
            return
        # Before the await: hypercorn hands over "disconnect" inside the last send.
        response = self.response = next_state(TABLE, self.response, message)
        try:
            await self.server_send(message)
        except OSError:
            # The error tells the app.  We cannot wake a call that waits in the server's `receive`,
            # but the server can.
            self.leave({"type": "http.disconnect"}, "send_error", told=True)
            raise
        if response is not COMPLETE and message.get("more_body") and is_time_for_a_turn(self):
            await checkpoint()

    def note_sent(self, message: Message) -> None:
        """The app is about to send `message`."""
        self.response = next_state(TABLE, self.response, message)

    def refuse(self, refused: Refused) -> bool:
        """Answer for the app, unless it has begun to; what it sends from now on is dropped.

        True if that is premature and you must carry out the departure.
        """
        if not self.latch({"type": "http.disconnect"}, refused.cause):
            return False
        if self.response is NOT_STARTED:
            # Reading would ask a client that expects ``100 Continue`` for its body.
            received = self.watcher is not None and self.get_watcher().received
            read_on = bool(received) or not expects_continue(self.headers)
            send_answer = functools.partial(answer, self, refused.status, read_on=read_on)
            self.guard.start(send_answer, finish=True)
        return True

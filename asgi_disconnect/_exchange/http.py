"""One HTTP request and its response.

Server `receive` -> reader -> body -> the app's `receive`; the app's `send` -> response -> server
`send`.  What a disconnect does is decided in `_departure`; this is where the two states meet.
"""

import functools
import time
from typing import Any

from anyio.lowlevel import checkpoint

from .._departure.causes import Phase
from .._guards.interruptible import InterruptibleReceive
from .._guards.protocol import Guard
from .._options import Options
from .._types import Message, Receive, Scope, Send
from .answer import answer
from .body_watcher import BodyWatcher
from .deadline import PASSED
from .exchange import Exchange
from .headers import announces_body, expects_continue
from .limits import Refused, check_declared
from .reader import APP_READS, HELD, IDLE
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
        # Not by `super()`, which is a call more for each request.
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
        """Whether what the app asks for is the watcher's to read, and not the app's."""
        if self.over:  # a task that the app has left behind asks
            return False
        if self.request_complete:
            return self._server_is_gunicorn()
        return self.options.bounds_body

    def _server_is_gunicorn(self) -> bool:
        return is_gunicorns(self.server_receive)

    def must_wait_for_app(self) -> bool:
        """Whether the app has to read first: it is the reading that sends ``100 Continue``."""
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
            # This tells the app.  A call of its that is inside the server's `receive` cannot be
            # woken from here, but the server knows as well as we do.
            self.leave({"type": "http.disconnect"}, "send_error", told=True)
            raise
        if response is not COMPLETE and message.get("more_body") and is_time_for_a_turn(self):
            await checkpoint()

    def note_sent(self, message: Message) -> None:
        """The app is about to send `message`."""
        self.response = next_state(TABLE, self.response, message)

    def accept_declared_size(self) -> bool:
        """Refuse the request if its ``Content-Length`` alone is too large."""
        try:
            check_declared(self.headers, self.options)
        except Refused as refused:
            self.refuse(refused)
            return False
        return True

    async def receive_whole(self) -> bool:
        """Read the body before the app is called; false if the client left before its end."""
        return await self.get_watcher().receive_whole(self)

    def refuse(self, refused: Refused) -> bool:
        """Answer in the app's stead, unless it has begun to; nothing that it sends is sent then.

        True if that is premature, and the caller must carry out the departure.
        """
        if not self.latch({"type": "http.disconnect"}, refused.cause):
            return False
        if self.response is NOT_STARTED:
            # A client that waits to be asked for the body is not asked for it now.
            received = self.watcher is not None and self.get_watcher().received
            read_on = bool(received) or not expects_continue(self.headers)
            send_answer = functools.partial(answer, self, refused.status, read_on=read_on)
            self.guard.start(send_answer, finish=True)
        return True

    # The deadline

    @property
    def _interruptible(self) -> InterruptibleReceive | None:
        """The server's `receive`, if there is a deadline."""
        receive = self.server_receive
        return receive if isinstance(receive, InterruptibleReceive) else None

    @property
    def has_deadline(self) -> bool:
        """Whether it may pass."""
        return self._interruptible is not None

    def due(self) -> None:
        """It is time to watch, and to look after the deadline: a quick exchange needs neither."""
        receive = self._interruptible
        if receive is not None and not (self.over or self.complete):
            self._set_alarm(receive)
        super().due()

    def _set_alarm(self, receive: InterruptibleReceive) -> None:
        seconds = max(0.0, receive.deadline - time.monotonic())
        self.guard.set_alarm(seconds, self.pass_deadline)

    def pass_deadline(self) -> None:
        """It has passed: where the response is not complete, there will be none but ours."""
        departure = self.departure_so_far
        if self.over or self.complete or (departure is not None and departure.ignored):
            return
        if self.disconnect is not None:  # the client has left
            return
        app_reads = self.reader in APP_READS
        if app_reads and self._interruptible is not None:  # no server would wake it
            self._interruptible.interrupt()
        to_do = self.refuse(PASSED)
        if app_reads:
            self.departure.tell()
        if to_do:
            self.guard.start(self.carry_out_departure)

    def is_in_time(self) -> bool:
        """Refuse the request if its deadline has passed before the app is called.

        Where it passes before the exchange is `due`, if ever it is, this has to be asked.
        """
        receive = self._interruptible
        if receive is None:
            return True
        if receive.deadline > time.monotonic():
            self._set_alarm(receive)
            return True
        if self.refuse(PASSED):
            self.departure.cancelled = True
        return False

"""An HTTP request that has a deadline, or may be refused before its app is called (contract §10).

A quick request only notes its deadline.  The alarm is set when it is time to watch.
"""

import math
import time
from typing import Any

from .._types import App, Receive, Scope, Send
from .deadline import PASSED
from .http import HTTPExchange
from .limits import Refused, check_declared
from .reader import APP_READS, TABLE, Event


class BoundedExchange(HTTPExchange):
    """An HTTP exchange with `deadline=`, `max_body_size=` or ``buffer="whole"``."""

    __slots__ = ("deadline",)

    deadline: float
    """When it passes, by `time.monotonic()`; infinite without one.  The middleware sets it."""

    async def enter(self, app: App, scope: Scope, receive: Receive, send: Send) -> Any:
        """Call `app`, unless the request is refused first."""
        if not (self._is_in_time() and self._accept_declared_size()):
            return None
        if self.options.buffer == "whole" and not await self.get_watcher().receive_whole(self):
            return None
        return await app(scope, receive, send)

    def _is_in_time(self) -> bool:
        """Refuse the request if its deadline has passed before the app is called.

        Ask this if the deadline may pass before the exchange is `due`.
        """
        if self.deadline > time.monotonic():
            self._set_alarm()
            return True
        if self.refuse(PASSED):
            self.departure.cancelled = True
        return False

    def _accept_declared_size(self) -> bool:
        """Refuse the request if its ``Content-Length`` alone is too large."""
        try:
            check_declared(self.headers, self.options)
        except Refused as refused:
            self.refuse(refused)
            return False
        return True

    def must_be_watched(self) -> bool:
        """Whether the watcher has to read what the app asks for; if not, the app reads now."""
        if HTTPExchange.must_be_watched(self):  # quicker than `super()`
            return True
        if self.deadline < math.inf:
            self.server_receive = self.guard.interruptible(self.server_receive)
        return False

    def due(self) -> None:
        """It is time to watch, and to look after the deadline."""
        if not (self.over or self.complete):
            self._set_alarm()
        super().due()

    def _set_alarm(self) -> None:
        if self.deadline < math.inf:
            self.guard.set_alarm(max(0.0, self.deadline - time.monotonic()), self.pass_deadline)

    def pass_deadline(self) -> None:
        """The deadline has passed: refuse the request, unless its response is complete."""
        departure = self.departure_so_far
        if self.over or self.complete or (departure is not None and departure.ignored):
            return
        if self.disconnect is not None:  # the client has left
            return
        app_reads = self.reader in APP_READS
        if app_reads:  # no server would wake it
            self.reader = TABLE[self.reader][Event.INTERRUPTED]
            self.guard.interrupt_call()
        to_do = self.refuse(PASSED)
        if app_reads:
            self.departure.tell()
        if to_do:
            self.guard.start(self.carry_out_departure)

"""What HTTP and WebSocket exchanges share: how their messages pass.

Until the watcher runs, the app's `receive()` goes straight to the server's, which keeps a quick
exchange cheap.  From then on the app gets what the watcher has read (contract §2).  A quick
exchange makes neither a `Watcher` nor a `Departure`.
"""

import functools
import threading
from typing import ClassVar, Final

from anyio.lowlevel import checkpoint

from .._departure.causes import Cause, Phase
from .._departure.departure import Departure
from .._guards.protocol import Guard
from .._options import Options
from .._types import Message, Receive, Scope, Send
from .limits import Refused
from .read_ahead import ReadAhead
from .reader import APP_INTERRUPTED, BETWEEN, IDLE, TABLE, WATCHER, WATCHER_READS, Event, Reader
from .turns import is_time_for_a_turn

_ASKED: Final = Event.ASKED
_DONE: Final = Event.DONE

_creating = threading.Lock()


class Exchange:
    """What passes between the server and the app.  Not an `ABC`, which is slower to instantiate."""

    disconnect_type: ClassVar[str]
    """The type of the message that says that the client has left."""

    __slots__ = (
        "departure_so_far",
        "disconnect",
        "guard",
        "has_asked",
        "latest_turn",
        "options",
        "over",
        "reader",
        "request_complete",
        "scope",
        "server_receive",
        "server_send",
        "watcher",
    )

    def __init__(
        self, options: Options, guard: Guard, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.options: Options = options
        self.guard: Guard = guard
        self.scope: Scope = scope  # the server's; the app's copy refers to us
        self.server_receive: Receive = receive
        self.server_send: Send = send
        self.reader: Reader = IDLE
        """Who reads the server's `receive`."""
        self.watcher: ReadAhead[Exchange] | None = None
        self.departure_so_far: Departure | None = None
        """The client's departure, once it has happened or somebody has asked for it."""
        self.disconnect: Message | None = None
        """What the app is given once the client has left."""
        self.latest_turn: float = 0.0
        self.has_asked: bool = False
        """The app has called `receive()`."""
        self.request_complete: bool = False
        """The end of the request's body has been read."""
        self.over: bool = False
        """The app has ended."""

    @property
    def complete(self) -> bool:
        """The app has sent its last message: nothing is cancelled any more."""
        raise NotImplementedError

    @property
    def phase(self) -> Phase:
        """What a departure interrupts now."""
        raise NotImplementedError

    @property
    def abandoned(self) -> bool:
        """Whether what the app raises is kept from the server."""
        return self.departure_so_far is not None and self.departure_so_far.abandoned

    @property
    def listens(self) -> bool:
        """Whether a call of the app's `receive()` waits, if only for bytes from the disk."""
        return self.watcher is not None and self.watcher.waiting > 0

    @property
    def departure(self) -> Departure:
        """The client's departure, which may not have happened yet.  Thread-safe."""
        if self.departure_so_far is None:
            with _creating:
                if self.departure_so_far is None:
                    self.departure_so_far = self._make_departure()
        return self.departure_so_far

    def _make_departure(self) -> Departure:
        return Departure(self.options, self.guard)

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        raise NotImplementedError

    def note_sent(self, message: Message) -> None:
        """The app is about to send `message`."""
        raise NotImplementedError

    async def send_after_departure(self, message: Message, departure: Departure) -> None:
        """The app's `send`, once the client has left."""
        if departure.drops:
            # Here an app that only sends can be cancelled, and gives the loop a turn.
            await self.guard.checkpoint()
            return
        self.note_sent(message)
        departure.sending += 1
        try:
            await self.server_send(message)
        except OSError:
            departure.send_failed = True
            raise
        finally:
            departure.sending -= 1
        if not self.complete and is_time_for_a_turn(self):
            await checkpoint()

    def get_watcher(self) -> "ReadAhead[Exchange]":
        """The watcher, which is made when it is first needed."""
        raise NotImplementedError

    def refuse(self, refused: Refused) -> bool:
        """Answer for the app, because a message cannot be accepted."""
        raise refused

    async def receive(self) -> Message:
        """The app's `receive`."""
        if self.watcher is not None or self.reader is not IDLE or self.must_be_watched():
            unread = await self.get_watcher().receive(self)
            if unread is not None:
                return unread
        # Nothing is unread and nobody reads, so the app itself does.
        self.has_asked = True
        self.reader = TABLE[self.reader][_ASKED]
        try:
            message = await self.server_receive()
        except BaseException as error:
            if not self.end_read(error):
                raise
            message = {"type": self.disconnect_type}
        if (kind := message.get("type")) == self.disconnect_type and self.disconnect is None:
            self.leave(message, "disconnect", told=True)
        else:
            if kind == "http.request" and not message.get("more_body"):
                self.request_complete = True
            self.end_read()
        return message

    def must_be_watched(self) -> bool:
        """Whether the watcher has to read what the app asks for."""
        return False

    def end_read(self, error: BaseException | None = None) -> bool:
        """A call of the server's `receive` has ended; true if it did because we interrupted it."""
        before, self.reader = self.reader, TABLE[self.reader][_DONE]
        if self.reader is BETWEEN:
            self.guard.call_soon(self._watch_unless_app_has_asked)
        if self.watcher is not None:
            self.watcher.wake_waiters()
        return before is APP_INTERRUPTED and self.guard.end_interruption(error)

    def _watch_unless_app_has_asked(self) -> None:
        if self.reader is BETWEEN:
            self._watch_or_wait_for_app()

    def due(self) -> None:
        """It is time to watch: `watch_after` seconds have passed, and the app still runs."""
        if not self.complete and not self.over:
            self._watch_or_wait_for_app()

    def _watch_or_wait_for_app(self) -> None:
        if self.must_wait_for_app():
            self.reader = TABLE[self.reader][Event.DUE_LATER]
        else:
            self.start_watching()

    def must_wait_for_app(self) -> bool:
        """Whether the app has to read something before anything may be read ahead."""
        raise NotImplementedError

    def start_watching(self) -> None:
        """Read ahead of the app, as soon as nobody else reads."""
        before, self.reader = self.reader, TABLE[self.reader][Event.DUE]
        if self.reader is WATCHER and before is not WATCHER:
            self.guard.start(functools.partial(self.get_watcher().watch, self), eager=True)

    def leave(self, disconnect: Message, cause: Cause, *, told: bool = False) -> None:
        """Latch the client's departure, and carry it out in a task."""
        if self.latch(disconnect, cause, told=told):
            self.guard.start(self.carry_out_departure)

    def latch(self, disconnect: Message, cause: Cause, *, told: bool = False) -> bool:
        """The client has left.  uvicorn and granian say so again and again, the others once.

        True if that is premature and you must carry out the departure.
        """
        if self.disconnect is not None:
            return False
        self.reader = TABLE[self.reader][Event.DISCONNECT]
        self.disconnect = disconnect
        premature = self.depart(cause, told=told)
        if self.watcher is not None:
            self.watcher.wake_waiters()
        return premature

    def depart(self, cause: Cause, *, told: bool = False) -> bool:
        """Note why the client has left; true if that is premature and news."""
        if self.complete:
            return False
        if self.departure.cause is None:
            self.departure.happen(cause, told=told)
            return True
        if told:
            self.departure.tell()
        return False

    async def carry_out_departure(self) -> None:
        """Tell or cancel the app, as the departure decides."""
        await self.departure.carry_out(self)

    def close(self, error: BaseException | None = None) -> None:
        """The app has ended, with `error` unless we cancelled it; its traceback refers to us."""
        self.over = True
        if self.reader is not IDLE:
            self.reader = TABLE[self.reader][Event.CLOSE]
        if self.departure_so_far is not None:
            self.departure_so_far.close()
        if self.watcher is not None:
            self.watcher.close(self.guard)

    def closed(self) -> None:
        """The watcher has ended.  Tasks left behind by the app now talk straight to the server."""
        if self.reader in WATCHER_READS:
            self.end_read()

"""One exchange: the way of its messages between the server and the app.

Server `receive` -> reader -> body -> the app's `receive`; the app's `send` -> response -> server
`send`.  While nothing watches, the app's `receive()` goes straight to the server's, which is what
makes a quick request cheap; from the moment that the watcher runs, the app is served from what the
watcher read (contract §2).  The states are in `reader` and `response`, and what a disconnect does
in `departure`; this is where they meet.
"""

import contextlib
import functools
import threading
import time
from collections.abc import Awaitable, Iterable
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from .._buffer.body import Body
from .._buffer.pieces import size_of_body
from .._departure.departure import Cause, Departure, Guard
from .._options import Options
from .._types import Message, Receive, Scope, Send
from . import refusal
from .headers import expects_continue
from .limits import Refused, check_declared, check_received, lost, receive_in_time
from .reader import BETWEEN, FAILED, HELD, IDLE, TABLE, WATCHER, WATCHER_READS, Event, Reader
from .response import COMPLETE, NOT_STARTED, Response, advance
from .servers import is_gunicorns

ANSWER_TIMEOUT: Final = 10.0
"""Seconds for a response of ours to leave: to a client that does not read, it never may."""

TURN_AFTER: Final = 0.01
"""Seconds (contract §3) after which an app that streams gives the loop a turn."""

_creating = threading.Lock()


class Exchange:
    """One HTTP request and its response."""

    __slots__ = (
        "_asked",
        "_disconnect",
        "_failure",
        "_guard",
        "_headers",
        "_http_version",
        "_latest_turn",
        "_listening",
        "_news",
        "_options",
        "_over",
        "_reader",
        "_received",
        "_request_complete",
        "_response",
        "_server_receive",
        "_server_send",
        "_unread",
        "departure_so_far",
    )

    def __init__(
        self, options: Options, guard: Guard, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._options = options
        self._guard = guard
        # Not the scope itself: the app's refers to us.
        self._headers: Iterable[Any] = scope.get("headers", ())
        self._http_version = scope.get("http_version", "1.1")
        self._server_receive = receive
        self._server_send = send
        self._reader: Reader = IDLE
        self._response: Response = NOT_STARTED
        self._asked = self._over = self._request_complete = False
        self._listening = 0
        self._latest_turn = 0.0
        self._received: int = 0
        self._unread: Body | None = None
        self._disconnect: Message | None = None
        self._failure: BaseException | None = None
        self._news: anyio.Event | None = None
        self.departure_so_far: Departure | None = None
        """The client's departure, if it has happened or anybody has asked for it."""

    @property
    def departure(self) -> Departure:
        """The client's departure, which may not have happened.  From any thread."""
        if self.departure_so_far is None:
            with _creating:
                if self.departure_so_far is None:
                    self.departure_so_far = Departure(self._options, self._guard)
        return self.departure_so_far

    @property
    def abandoned(self) -> bool:
        """What the app raises is not the server's to hear of."""
        return self.departure_so_far is not None and self.departure_so_far.abandoned

    @property
    def complete(self) -> bool:
        """The response is complete."""
        return self._response is COMPLETE

    @property
    def listens(self) -> bool:
        """A call of the app's `receive()` waits, be it for what is on the disk before the end."""
        return self._listening > 0

    # The app's side

    async def receive(self) -> Message:
        """The app's `receive`."""
        while True:
            if self._unread:
                message = self._unread.pop()
                if message is not None:
                    return message
                self._listening += 1
                try:
                    await self._unread.load()
                except OSError as error:
                    if self.refuse(lost(error)):
                        self._guard.start(self._depart)
                finally:
                    self._listening -= 1
                continue
            reader = self._reader
            if reader is IDLE or reader is BETWEEN or reader is HELD:
                if not self._watcher_must_read():
                    return await self._read()
                self._begin_to_watch()
            elif self._disconnect is not None:
                # No checkpoint: whoever polls inside a cancelled scope must see it.
                if self.departure_so_far is not None:
                    self.departure_so_far.tell()
                return self._disconnect
            elif reader is FAILED:
                assert self._failure is not None
                raise self._failure
            # Another call of the app's or the watcher reads: wait for what it brings.
            self._listening += 1
            try:
                await self._wait_for_news()
            finally:
                self._listening -= 1

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        if self.departure_so_far is not None and self.departure_so_far.cause is not None:
            await self._send_to_nobody(message, self.departure_so_far)
            return
        # Before the await: hypercorn hands over "disconnect" inside the last send.
        self._response = advance(self._response, message)
        try:
            await self._server_send(message)
        except OSError:
            # This tells the app.  A call of its that is inside the server's `receive` cannot be
            # woken from here, but the server knows as well as we do.
            if self._leave({"type": "http.disconnect"}, "send_error", told=True):
                self._guard.start(self._depart)
            raise
        if message.get("more_body") and self._is_time_for_a_turn():
            await checkpoint()

    async def _send_to_nobody(self, message: Message, departure: Departure) -> None:
        if departure.drops:
            # An app that does nothing but send is reached here, and does not block the loop.
            await self._guard.checkpoint()
            return
        self._response = advance(self._response, message)
        departure.sending += 1
        try:
            await self._server_send(message)
        finally:
            departure.sending -= 1
        if message.get("more_body") and self._is_time_for_a_turn():
            await checkpoint()

    def _is_time_for_a_turn(self) -> bool:
        """Whether others are to run before the app goes on: a server's `send` seldom waits.

        Else an endless stream would keep its client's departure, and all other requests, waiting.
        """
        now = time.monotonic()
        if now - self._latest_turn < TURN_AFTER:
            return False
        first, self._latest_turn = not self._latest_turn, now
        return not first

    async def _read(self) -> Message:
        """One call of the server's `receive`, made for the app."""
        self._asked = True
        self._reader = TABLE[self._reader][Event.ASKED]
        try:
            message = await self._server_receive()
        except BaseException:
            self._read_ended()
            raise
        kind = message.get("type")
        if kind == "http.disconnect":
            if self._leave(message, "disconnect", told=True):
                self._guard.start(self._depart)
        else:
            if kind == "http.request" and not message.get("more_body"):
                self._request_complete = True
            self._read_ended()
        return message

    def _read_ended(self) -> None:
        self._reader = TABLE[self._reader][Event.DONE]
        if self._reader is BETWEEN:
            self._guard.call_soon(self._take_over)
        self._tell_news()

    def _take_over(self) -> None:
        if self._reader is BETWEEN:
            self._begin_to_watch()

    # The watcher's side

    def due(self) -> None:
        """It is time to watch: `watch_after` seconds have passed, and the app still runs."""
        if self._response is COMPLETE or self._over:
            return
        untouched = self._reader is HELD or (self._reader is IDLE and not self._asked)
        if untouched and expects_continue(self._headers):
            self._reader = TABLE[self._reader][Event.DUE_LATER]
        else:
            self._begin_to_watch()

    def accept_declared(self) -> bool:
        """Refuse the request if its ``Content-Length`` alone is too large."""
        try:
            check_declared(self._headers, self._options)
        except Refused as refused:
            self.refuse(refused)
            return False
        return True

    async def receive_whole(self) -> bool:
        """Read the whole body ahead of the app, or as much of it as there is room for.

        False if the client left before its end.
        """
        self._begin_to_watch()
        while not self._request_complete and self._reader is WATCHER:
            await self._wait_for_news()
        return self._request_complete or self._disconnect is None

    def _watcher_must_read(self) -> bool:
        """Whether what the app asks for is not to be read by the app itself."""
        if self._over:  # a task that the app has left behind asks
            return False
        options = self._options
        if options.body_timeout is not None or options.max_body_size is not None:
            return not self._request_complete
        return self._request_complete and is_gunicorns(self._server_receive)

    def _begin_to_watch(self) -> None:
        before = self._reader
        self._reader = TABLE[before][Event.DUE]
        if self._reader is WATCHER and before is not WATCHER:
            self._guard.start(self.watch)

    async def watch(self) -> None:
        """Read ahead of the app until the client has left.

        One coroutine, and nothing made before there is something to keep: ten thousand requests
        may be in here at once.
        """
        to_do = False
        try:
            while self._reader is WATCHER:
                message = await self._next_message()
                if message.get("type") == "http.disconnect":
                    to_do = self._leave(message, "disconnect")
                    break
                if self._disconnect is not None:  # since we began to read
                    continue
                lags = bool(self._unread)
                if self._unread is None:
                    self._unread = Body(self._options.max_memory)
                complete = self._count(message)
                if not self._unread.append(message):
                    stored = await self._unread.spill(message, self._options.disk_quota)
                    # Where the body is complete, only the disconnect is to come.
                    if not (stored or complete or self._request_complete):
                        await self._pause(self._unread, message)
                if self._request_complete:
                    # There is nothing to wait for but the disconnect.  A test double that answers
                    # every call at once must not be read for ever.
                    self._reader = TABLE[self._reader][Event.SURPLUS]
                    self._tell_news()
                    break  # at once: the next tick may start a watcher anew
                self._request_complete = complete
                self._tell_news()
                if lags:  # or has not had its turn: the same for one that never ends the body
                    await checkpoint()
        except Refused as refused:
            to_do = self.refuse(refused)
        except BaseException as error:
            if self._watcher_is_ended_by(error):
                if self._reader in WATCHER_READS:
                    self._read_ended()
                raise
            self._reader = TABLE[self._reader][Event.FAILURE]
            if self._reader is FAILED:
                self._failure = error
            self._tell_news()
            if isinstance(error, (KeyboardInterrupt, SystemExit)):  # the loop's to hear of
                raise
        if self._reader is Reader.WATCHER_LATE:
            self._read_ended()
        if to_do:
            await self.departure.carry_out(self)

    def _watcher_is_ended_by(self, error: BaseException) -> bool:
        """Whether `error` is not the server's: the exchange is over, or the loop shut down."""
        if isinstance(error, Exception):
            return False
        if self._reader is Reader.WATCHER_ENDS or isinstance(error, GeneratorExit):
            return True
        return isinstance(error, anyio.get_cancelled_exc_class())

    async def _pause(self, unread: Body, message: Message) -> None:
        """Read no further until there is room: the server's flow control holds the client."""
        self._reader = TABLE[self._reader][Event.FULL]
        self._tell_news()
        try:
            if self._reader is Reader.PAUSED:
                await unread.wait_for_room(message, self._guard.call_threadsafe)
        finally:
            self._reader = TABLE[self._reader][Event.ROOM]

    def _next_message(self) -> Awaitable[Message]:
        if self._request_complete or self._options.body_timeout is None:
            return self._server_receive()
        return receive_in_time(self._server_receive, self._options)

    def _count(self, message: Message) -> bool:
        """Whether `message` is the body's last; raises `Refused` if the body is too large."""
        if message.get("type") != "http.request" or self._request_complete:
            return False
        self._received += size_of_body(message)
        check_received(self._received, self._options)
        return not message.get("more_body")

    # Both

    def _leave(self, disconnect: Message, cause: Cause, *, told: bool = False) -> bool:
        """Latch the client's departure: uvicorn and granian repeat it, the others do not.

        True if it is premature, and something is to be done about it.
        """
        if self._disconnect is not None:
            return False
        self._reader = TABLE[self._reader][Event.DISCONNECT]
        self._disconnect = disconnect
        premature = self._response is not COMPLETE
        if premature:
            self.departure.happen(cause, told=told)
        self._tell_news()
        return premature

    async def _depart(self) -> None:
        await self.departure.carry_out(self)

    def refuse(self, refused: Refused) -> bool:
        """Answer in the app's stead, unless it has begun to; nothing that it sends is sent then.

        True if that leaves something to be done about the app.
        """
        if not self._leave({"type": "http.disconnect"}, refused.cause):
            return False
        if self._response is NOT_STARTED:
            self._guard.start(functools.partial(self._answer, refused.status), finish=True)
        return True

    async def _answer(self, status: int) -> None:
        with anyio.move_on_after(ANSWER_TIMEOUT):
            async with anyio.create_task_group() as tasks:
                # The client that waits to be asked for the body is not asked for it now.
                if self._received or not expects_continue(self._headers):
                    tasks.start_soon(self._read_on)
                with contextlib.suppress(OSError):
                    for message in refusal.messages(status, self._http_version):
                        await self._server_send(message)
                tasks.cancel_scope.cancel()

    async def _read_on(self) -> None:
        """Read for nobody: hypercorn ends no response whose request is unread in its queue."""
        while self._reader is Reader.WATCHER_LATE:
            await self._wait_for_news()
        with contextlib.suppress(Exception):
            while (await self._server_receive()).get("type") != "http.disconnect":
                await checkpoint()

    async def _wait_for_news(self) -> None:
        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()

    def _tell_news(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    def close(self, error: BaseException | None = None) -> None:
        """The app has ended, and the watcher is about to.

        With `error`, unless that is a cancellation of ours; it is not kept here, since its
        traceback refers to us.
        """
        self._over = True
        self._reader = TABLE[self._reader][Event.CLOSE]
        self._failure = None
        if self.departure_so_far is not None:
            self.departure_so_far.close()
        unread = self._unread
        if unread is not None and unread.spooled:
            started = self._guard.start(unread.aclose, finish=True)
            if not started:
                unread.close()

    def closed(self) -> None:
        """The watcher has ended.  What the app left behind talks to the server as if unguarded."""
        if self._reader in WATCHER_READS:
            self._read_ended()

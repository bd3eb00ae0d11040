"""One exchange: the way of its messages between the server and the app.

Server `receive` -> reader -> body -> the app's `receive`; the app's `send` -> response -> server
`send`.  While nothing watches, the app's `receive()` goes straight to the server's, which is what
makes a quick request cheap; from the moment that the watcher runs, the app is served from what the
watcher read (contract §2).  The states are in `reader` and `response`, and what a disconnect does
in `departure`; this is where they meet.
"""

import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from anyio import Event as News
from anyio.lowlevel import checkpoint

from . import departure
from .body import Body
from .headers import expects_continue
from .options import Options
from .reader import APP_READS, FAILED, GONE, HELD, IDLE, TABLE, WATCHER, WATCHER_ENDS, Event, Reader
from .response import COMPLETE, NOT_STARTED, Response, advance
from .types import Message, Receive, Send

logger: logging.Logger = logging.getLogger("asgi_disconnect")


class Guard(departure.Cancellable, Protocol):
    """What an exchange needs of the part that runs tasks."""

    def start(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `function` beside the app, at the latest until the app ends."""


class Exchange:
    """One HTTP request and its response."""

    __slots__ = (
        "_disconnect",
        "_failure",
        "_guard",
        "_headers",
        "_news",
        "_options",
        "_reader",
        "_request_complete",
        "_response",
        "_server_receive",
        "_server_send",
        "_unread",
        "cancelled",
        "cause",
        "told",
    )

    def __init__(
        self,
        options: Options,
        guard: Guard,
        headers: Iterable[Iterable[bytes]],
        receive: Receive,
        send: Send,
    ) -> None:
        self._options = options
        self._guard = guard
        self._headers = headers
        self._server_receive = receive
        self._server_send = send
        self._reader: Reader = IDLE
        self._response: Response = NOT_STARTED
        self._request_complete = False
        self._unread: Body | None = None
        self._disconnect: Message | None = None
        self._failure: BaseException | None = None
        self._news: News | None = None
        self.cause: departure.Cause | None = None
        """How we know that the client left before the response was complete, if it did."""
        self.told: bool = False
        """The app has been given the disconnect."""
        self.cancelled: bool = False
        """We have cancelled the app."""

    @property
    def complete(self) -> bool:
        """The response is complete."""
        return self._response is COMPLETE

    @property
    def abandoned(self) -> bool:
        """What the app raises is because it was cancelled, or told to stop by a disconnect.

        What it raises because the server's `send` raised is the server's to catch (ASGI HTTP
        specification, "Disconnected Client"); and once the response is complete, an error is not
        about the client.
        """
        if self.cancelled:
            return True
        return (
            self.told and self.cause == "disconnect" and self._options.cancel and not self.complete
        )

    # The app's side

    async def receive(self) -> Message:
        """The app's `receive`."""
        while not self._unread:
            reader = self._reader
            if reader is IDLE or reader is HELD:
                return await self._read()
            if reader is GONE:
                # No checkpoint: whoever polls inside a cancelled scope must see it.
                self.told = True
                assert self._disconnect is not None
                return self._disconnect
            if reader is FAILED:
                assert self._failure is not None
                raise self._failure
            # Another call of the app's or the watcher reads: wait for what it brings.
            if self._news is None:
                self._news = News()
            await self._news.wait()
        return self._unread.pop()

    async def send(self, message: Message) -> None:
        """The app's `send`."""
        if self.cancelled:
            # Nobody is there, and hypercorn would block it for ever on HTTP/2.  The checkpoint
            # keeps an app that does nothing but send from blocking the loop.
            await checkpoint()
            return
        # Before the await: hypercorn hands over "disconnect" inside the last send.
        self._response = advance(self._response, message)
        try:
            await self._server_send(message)
        except OSError:
            # A call of the app's that is inside the server's `receive` cannot be woken from here,
            # but the server knows as well as we do.
            told = self._reader in APP_READS
            if self._leave({"type": "http.disconnect"}, "send_error", told=told):
                self._guard.start(self._depart)
            raise

    async def _read(self) -> Message:
        """One call of the server's `receive`, made for the app."""
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
        if self._reader is WATCHER:
            self._guard.start(self.watch)
        self._tell_news()

    # The watcher's side

    def due(self) -> None:
        """It is time to watch: `watch_after` seconds have passed, and the app still runs."""
        if self._response is not COMPLETE:
            held = self._reader is IDLE and expects_continue(self._headers)
            self._reader = TABLE[self._reader][Event.DUE_LATER if held else Event.DUE]
            if self._reader is WATCHER:
                self._guard.start(self.watch)

    async def watch(self) -> None:
        """Read ahead of the app until the client has left."""
        try:
            disconnect = await self._read_ahead()
        except Exception as error:
            self._reader = TABLE[self._reader][Event.FAILURE]
            if self._reader is FAILED:
                self._failure = error
            self._tell_news()
        except BaseException:  # the exchange is over, or the loop is being shut down
            self._read_ended()
            raise
        else:
            if disconnect is not None and self._leave(disconnect, "disconnect"):
                await self._depart()

    async def _read_ahead(self) -> Message | None:
        """Keep what the server gives; return the disconnect, or None where none will come."""
        if self._unread is None:
            self._unread = Body()
        while self._reader is WATCHER:
            message = await self._server_receive()
            kind = message.get("type")
            if kind == "http.disconnect":
                return message
            if self._request_complete:
                # There is nothing to wait for but the disconnect.  A test double that answers
                # every call at once must not be read for ever.
                self._reader = TABLE[self._reader][Event.SURPLUS]
            elif kind == "http.request" and not message.get("more_body"):
                self._request_complete = True
            self._unread.append(message)
            self._tell_news()
            await checkpoint()  # the same for one that never ends the body
        return None

    # Both

    def _leave(self, disconnect: Message, cause: departure.Cause, *, told: bool = False) -> bool:
        """Latch the client's departure: uvicorn and granian repeat it, the others do not.

        True if it is premature, and something is to be done about it.
        """
        if self._reader is GONE:
            return False
        self._reader = TABLE[self._reader][Event.DISCONNECT]
        self._disconnect = disconnect
        self.told = told
        self._tell_news()
        if self._response is COMPLETE:
            return False
        self.cause = cause
        return True

    async def _depart(self) -> None:
        await departure.carry_out(self, self._options, self._guard)

    def _tell_news(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    def close(self) -> None:
        """The app has ended, and the watcher is about to."""
        self._reader = TABLE[self._reader][Event.CLOSE]
        self._failure = None

    def closed(self) -> None:
        """The watcher has ended.  What the app left behind talks to the server as if unguarded."""
        if self._reader is WATCHER_ENDS:
            self._read_ended()

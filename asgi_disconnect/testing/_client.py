"""The client's side of one HTTP exchange, driven by a test."""

import math

from .._exchange.bounded import BoundedExchange
from .._types import Message
from ._hints import NO_LIFESPAN
from ._http_server import PlayedHTTPServer
from ._result import Result
from ._waiting import NeverHappened, Waiting


class Client(Waiting[PlayedHTTPServer]):
    """The client of an exchange under test; `exchange()` makes it.  Since 0.1."""

    # What it does

    def send(self, body: bytes, *, more_body: bool = True) -> None:
        """Send the next piece of the request's body.

        :param more_body: false for the last piece.
        :raises RuntimeError: if the body is complete, or the client has left.
        """
        if self._server.body_ended:
            raise RuntimeError("the body is complete: does exchange() need more_body=True?")
        if self._server.gone:
            raise RuntimeError("the client has left and cannot send")
        self._server.upload(body, more_body=more_body)

    def disconnect(self) -> None:
        """Leave: close the connection."""
        self._server.leave()

    def pass_deadline(self) -> None:
        """Let the deadline of the exchange pass, now and without leaving (`deadline=`).

        Since 0.2.

        :raises RuntimeError: if there is none, or the app has not been called yet.
        """
        server = self._server
        exchange = server.exchange
        if isinstance(exchange, BoundedExchange) and exchange.deadline < math.inf:
            exchange.pass_deadline()
        elif server.ended:
            raise RuntimeError("the app has ended: there is no deadline any more")
        elif not server.called:
            raise RuntimeError("the app has not been called yet: await until_working() first")
        else:
            raise RuntimeError(
                "no deadline has been set: is the app wrapped in DisconnectMiddleware with"
                " deadline=, and does that give this request one?"
            )

    def fail_send(self, error: OSError | None = None) -> None:
        """Leave, so that the app's next `send()` raises `error`.

        No current server does so, but the specification allows it (ASGI HTTP 2.4, "Disconnected
        Client").

        :param error: `BrokenPipeError` if not given.
        """
        self._server.send_error = error or BrokenPipeError("the client has left")

    def stop_reading(self) -> None:
        """Stay, but take nothing more: `send()` waits when the server's buffers are full."""
        self._server.set_reading(False)

    def resume_reading(self) -> None:
        """Take what is sent again."""
        self._server.set_reading(True)

    # What it can wait for

    async def until_received(self, count: int) -> None:
        """Return when the app has got `count` bytes of the request's body.

        `DisconnectMiddleware` reads ahead on the app's behalf.
        """
        server = self._server
        await self._until(f"received {count} bytes", lambda: server.bytes_received >= count)

    async def until_responding(self) -> None:
        """Return when the app has started its response."""
        await self._until("started its response", lambda: self._server.started)

    async def until_sent(self, count: int) -> None:
        """Return when the app has sent `count` bytes of the response's body."""
        server = self._server
        await self._until(f"sent {count} bytes", lambda: server.bytes_sent >= count)

    async def result(self) -> Result:
        """What became of the app, once it has ended.

        If the client has left, and the app still runs `patience` seconds later, it is cancelled and
        the outcome is ``overran``.

        :raises NeverHappened: if the client has not left, and the app does not end by itself.
        """
        await self._wait_for_end()
        return self._server.result

    async def close(self) -> None:
        """Do what `see_to_end` does."""
        await self.see_to_end()

    # What it can see

    @property
    def status(self) -> int | None:
        """The response's status, if it has started."""
        status: int | None = self._server.start.get("status")
        return status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The response's headers, whose names should be in lower case."""
        return [
            (bytes(name), bytes(value)) for name, value in self._server.start.get("headers", ())
        ]

    @property
    def body(self) -> bytes:
        """The part of the response's body that the client has got."""
        return self._server.body

    @property
    def messages(self) -> list[Message]:
        """What the app has sent to the client, message by message."""
        return self._server.sent

    # What is probably wrong

    def _refuse_the_impossible(self, what: str) -> None:
        """Fail at once, instead of after `patience` seconds, if it cannot happen."""
        server = self._server
        if server.behaviour.whole_body and not (server.body_ended or server.gone):
            raise NeverHappened(
                f"the app never {what}: {server.behaviour.name} calls it when the request's body is"
                " complete. Send the rest, with more_body=False, or play another server."
            )
        if server.gone and what.startswith(("started", "sent")):
            raise NeverHappened(
                f"the app never {what}: the client has left, and what the app sends now goes to"
                " nobody. Wait for it before disconnect()."
            )

    def _likely_end(self) -> str:
        server = self._server
        if server.exception is not None:
            return f"it raised {server.exception!r}. {server.hint}".rstrip()
        if not server.called:
            return "it was not even called, because its client left first."
        status = server.start.get("status")
        if status == 404:
            return "it answered 404. Is the path right?"
        if status is not None and status >= 500:
            hint = "" if server.runs_lifespan else f" {NO_LIFESPAN}"
            return f"it answered {status}. What has it logged?{hint}"
        if server.complete:
            return (
                f"it has answered {status}. There is nothing left to abandon. Is the path right,"
                " and does the handler wait for anything there?"
            )
        if server.gone:
            return "its client has left."
        return "it returned without a complete response."

    def _likely_wait(self) -> str:
        server = self._server
        if server.silent and server.app_listens:
            return (
                "it waits in receive(), but has got the disconnect already:"
                f" {server.behaviour.name} sends it once, and then nothing."
            )
        if server.app_listens and not server.body_ended:
            return (
                "it waits in receive(), and the request's body is not complete: send() the rest,"
                " with more_body=False for the last piece, or disconnect()."
            )
        if server.send_error is not None and not server.gone:
            return (
                "its next send() will raise, but it sends nothing. To leave while it works, use"
                " disconnect()."
            )
        if server.sending and not server.reading:
            return "it waits in send(), for a client that has stopped reading."
        if server.app_listens and not server.gone:
            return (
                "it waits in receive(), and only the disconnect can come: call disconnect(). If"
                " only its framework listens there, while the handler is at work, give exchange() a"
                " larger patience, or let the handler go on."
            )
        leaving = "" if server.gone else " To abandon it, disconnect()."
        return (
            f"it is at work.{leaving} If it should take that long, give exchange() a larger"
            " patience; if something in the test holds it up, let it go on."
        )

"""The client's side of one WebSocket, driven by a test."""

from .._types import Message
from ._result import WebSocketResult
from ._waiting import NeverHappened, Waiting
from ._websocket_server import PlayedWebSocketServer


class WebSocketClient(Waiting[PlayedWebSocketServer]):
    """The client of a WebSocket under test; `websocket_exchange()` makes it.  Since 0.2."""

    # What it does

    def send(self, data: str | bytes) -> None:
        """Send a message: text or bytes.

        A message that is sent before the app has accepted arrives after that.

        :raises RuntimeError: if the client has left, or the app has closed the connection.
        """
        if not isinstance(data, str | bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a WebSocket message is str or bytes, not {data!r}")
        if self._server.gone:
            raise RuntimeError("the client has left and cannot send")
        if self._server.complete:
            raise RuntimeError(f"the app has {self._end_of_connection()}")
        self._server.deliver(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Leave: close the connection with a close frame, or give up the handshake."""
        self._server.close(code, reason)

    def reset(self) -> None:
        """Leave without a word, as when the network fails or a process is killed."""
        self._server.leave()

    # What it can wait for

    async def until_accepted(self) -> None:
        """Return when the app has accepted the connection."""
        await self._until("accepted the connection", lambda: self.accepted)

    async def receive(self) -> str | bytes:
        """Wait for the app's next message and return it."""
        server, count = self._server, self._taken
        await self._until("sent another message", lambda: len(server.pushed) > count)
        self._taken += 1
        return server.pushed[count]

    async def result(self) -> WebSocketResult:
        """What became of the app, once it has ended.

        If the client has left, and the app still runs `patience` seconds later, it is cancelled and
        the outcome is ``overran``.

        :raises NeverHappened: if the client has not left, and the app does not end by itself; or
            if the middleware's `grace` is longer than `patience`, and the app has not ended.
        """
        await self._wait_for_end()
        return self._server.result

    async def see_to_end(self) -> None:
        """Close, and wait for the app's end, as the end of the block does.

        Raises the error of an app that failed, unless the test has asked for its result.
        """
        self.close()
        await super().see_to_end()

    _taken = 0

    # What it can see

    @property
    def accepted(self) -> bool:
        """Whether the app has accepted the connection."""
        return self._server.accept is not None

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the app has chosen."""
        subprotocol: str | None = (self._server.accept or {}).get("subprotocol")
        return subprotocol

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that the app has accepted with."""
        headers = (self._server.accept or {}).get("headers", ())
        return [(bytes(name), bytes(value)) for name, value in headers]

    @property
    def sent(self) -> list[str | bytes]:
        """What the app has sent to the client."""
        return self._server.pushed

    @property
    def messages(self) -> list[Message]:
        """What the app has sent to the server, message by message."""
        return self._server.sent

    # What is probably wrong

    @property
    def _is_hopeless(self) -> bool:
        return self._server.ended or self._server.complete

    async def _stop(self) -> None:
        await super()._stop()
        server = self._server
        undecided = server.report is None or server.report.outcome == "finished"
        if server.grace is not None and server.grace > self._patience and undecided:
            raise NeverHappened(
                f"the app has not ended within {self._patience:g} s, and DisconnectMiddleware gives"
                f" it {server.grace:g} s (grace=) before it cancels: give websocket_exchange()"
                " grace=0, or a larger patience."
            )

    def _refuse_the_impossible(self, what: str) -> None:
        if self._server.gone and what.startswith(("accepted", "sent")):
            raise NeverHappened(
                f"the app never {what}: the client has left, and what the app sends now goes to"
                " nobody. Wait for it before close()."
            )

    def _never(self, what: str) -> NeverHappened:
        if self._server.complete and not self._server.ended:
            if what == "ended":
                return NeverHappened(
                    f"the app has {self._end_of_connection()} but not ended within"
                    f" {self._patience:g} s. If it still works, wait for that."
                )
            return NeverHappened(f"the app never {what}: it has {self._end_of_connection()}")
        return super()._never(what)

    def _end_of_connection(self) -> str:
        server = self._server
        if server.accept is None:
            return f"refused the handshake with {server.status}. Is the path right?"
        return f"closed the connection, with code {server.code}."

    def _likely_end(self) -> str:
        server = self._server
        if server.exception is not None:
            return f"it raised {server.exception!r}. {server.hint}".rstrip()
        if server.complete:
            return f"it has {self._end_of_connection()}"
        if server.gone:
            return "its client has left."
        if server.accept is None:
            return "it returned and neither accepted nor refused the connection."
        return "it returned. Does the handler wait for anything?"

    def _likely_wait(self) -> str:
        server = self._server
        if server.silent and server.app_listens:
            return (
                "it waits in receive(), but has got the disconnect already:"
                f" {server.behaviour.name} does not send it again, nor anything else."
            )
        if server.app_listens and not server.gone:
            if server.accept is None:
                return "it waits in receive(), and has not accepted the connection."
            return "it waits in receive(), for what the client sends: call send(), or close()."
        leaving = "" if server.gone else " To abandon it, close()."
        return (
            f"it is at work.{leaving} If it should take that long, give websocket_exchange() a"
            " larger patience; if something in the test holds it up, let it go on."
        )

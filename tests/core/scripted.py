"""A server's side of one exchange, in a test's hands: for the interleavings no server offers."""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from asgi_disconnect import DisconnectMiddleware

Message = dict[str, Any]

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
LAST: Message = {"type": "http.response.body", "body": b"", "more_body": False}
MORE: Message = {"type": "http.response.body", "body": b"x", "more_body": True}
REQUEST: Message = {"type": "http.request", "body": b"", "more_body": False}
DISCONNECT: Message = {"type": "http.disconnect"}

# Long enough that only what hangs reaches it.
HUNG = 20.0


def piece(body: bytes, more_body: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more_body}


def http_scope(**changes: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], **changes}


async def ticks(count: int) -> None:
    for _ in range(count):
        await checkpoint()


class Server:
    """Gives the messages it is given, in order, and then waits, as servers do.

    ``repeats`` says whether the disconnect is given again and again (uvicorn, granian) or once
    (hypercorn, daphne).  Two calls of `receive` at a time are an error: contract §2.
    """

    def __init__(self, *messages: Message, repeats: bool = False) -> None:
        self.messages = deque(messages)
        self.repeats = repeats
        self.sent: list[Message] = []
        self.calls = 0
        self.reading = False
        self.cancelled_reads = 0
        self._news = anyio.Event()

    def give(self, *messages: Message) -> None:
        self.messages.extend(messages)
        self._news.set()

    def leave(self) -> None:
        self.give(DISCONNECT)

    async def receive(self) -> Message:
        assert not self.reading, "a second receive() while one is outstanding"
        self.reading = True
        self.calls += 1
        try:
            while not self.messages:
                self._news = anyio.Event()
                await self._news.wait()
        except BaseException:
            self.cancelled_reads += 1
            raise
        finally:
            self.reading = False
        if self.repeats and self.messages[0]["type"] == "http.disconnect":
            return self.messages[0]
        return self.messages.popleft()

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def run(
        self,
        app: Callable[..., Awaitable[Any]],
        scope: Message | None = None,
        **options: Any,
    ) -> Any:
        """Run `app` in the middleware, watching from the first tick on unless told otherwise."""
        options = {"watch_after": 0, **options}
        middleware = DisconnectMiddleware(app, **options)
        with anyio.fail_after(HUNG) as hung:
            result = await middleware(scope or http_scope(), self.receive, self.send)
        assert not hung.cancel_called, "the app let it pass that it hung"
        return result

    @property
    def types(self) -> list[str]:
        return [message["type"].rpartition(".")[2] for message in self.sent]

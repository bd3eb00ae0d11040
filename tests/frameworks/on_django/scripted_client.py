"""A client, and the server between it and the application, both played by a test.

The server is one that tells of a departure once and then is silent, as hypercorn and daphne are,
and that takes whatever is sent to a client that has left, as all do.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

Message = dict[str, Any]
Headers = Sequence[tuple[bytes, bytes]]
T = TypeVar("T")

LIMIT = 20.0
"""Seconds after which something that should have happened is taken not to happen at all."""


class Client:
    """One exchange with `app`, which starts at once."""

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        path: str = "/",
        headers: Headers = (),
        limit: float = LIMIT,
    ) -> None:
        self.sent: list[Message] = []
        """What the application sent."""
        self.on_send: Callable[[Message], None] | None = None
        """Called with each message in the middle of the server's `send`."""
        self.limit = limit
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._heard = asyncio.Event()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost"), (b"content-type", b"text/plain"), *headers],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8000),
        }
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        message = await self._inbox.get()
        if message["type"] == "http.disconnect":
            self._heard.set()
        return message

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        self._outbox.put_nowait(message)
        if self.on_send is not None:
            self.on_send(message)

    def sends(self, body: bytes = b"", *, more: bool = False) -> "Client":
        self._inbox.put_nowait({"type": "http.request", "body": body, "more_body": more})
        return self

    def says(self, kind: str) -> "Client":
        self._inbox.put_nowait({"type": kind})
        return self

    def leaves(self) -> "Client":
        return self.says("http.disconnect")

    async def gets(self) -> Message:
        """The next message of the response."""
        return await self.waits_for(self._outbox.get())

    async def is_heard(self) -> None:
        """Somebody has been told that the client left, and has acted; or nobody listens."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), min(2.0, self.limit))
        for _ in range(10):
            await asyncio.sleep(0)

    async def waits_for(self, awaitable: Awaitable[T]) -> T:
        """What `awaitable` returns, which it has to do while the exchange lasts."""
        waiting = asyncio.ensure_future(awaitable)
        await asyncio.wait(
            {waiting, self.task}, timeout=self.limit, return_when=asyncio.FIRST_COMPLETED
        )
        if not waiting.done():
            waiting.cancel()
            if self.task.done():
                raise AssertionError("the exchange is over") from self.task.exception()
            raise TimeoutError
        return waiting.result()

    async def ends(self) -> Any:
        """What the application returns, or the exception that it raises."""
        done, _ = await asyncio.wait({self.task}, timeout=self.limit)
        if not done:
            raise TimeoutError
        return self.task.result()

    @property
    def answer(self) -> bytes:
        """The body of the response as far as it was sent."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def answered(self) -> bool:
        """The response was sent to its end."""
        return any(
            message["type"] == "http.response.body" and not message.get("more_body")
            for message in self.sent
        )


Serve = Callable[..., Client]
"""What the fixture `serve` gives."""


def tasks_left() -> "list[asyncio.Task[Any]]":
    """The tasks that there are beside the test's own."""
    return [
        task
        for task in asyncio.all_tasks()
        if not getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")
    ]


async def end_the_tasks_of_django_5() -> None:
    """Its view and its listener run on when it ends with an error, bare as wrapped."""
    tasks = tasks_left()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

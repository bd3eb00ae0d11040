"""A server that does what the test tells it, for one HTTP exchange.

It answers as uvicorn does or as hypercorn does, which differ where it matters: uvicorn says
"disconnect" as often as it is asked, at once, and then drops what of the body has not been read;
hypercorn hands over the body first, says "disconnect" once and answers no further call.  Both say
it too when the response is complete, which is no premature disconnect (contract, "Words").
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from .waiting import Changing

REPEATS = "repeats"  # uvicorn, granian
ONCE = "once"  # hypercorn, daphne
MANNERS = (REPEATS, ONCE)
RAISES = "raises"  # no server yet: repeats, and send() raises, as specification 2.4 allows


class Connection(Changing):
    """One request: `scope`, `receive` and `send` for the app, the rest for the test."""

    def __init__(
        self,
        method: str = "GET",
        path: str = "/",
        *,
        body: bytes | Sequence[bytes] = b"",
        complete: bool = True,
        headers: Iterable[tuple[bytes, bytes]] = (),
        manner: str = REPEATS,
        spec_version: str = "2.3",
        extensions: dict[str, Any] | None = None,
        back_pressure: bool = False,
    ) -> None:
        super().__init__()
        self.manner = manner
        self.back_pressure = back_pressure
        """The client takes the first piece of the body and no more."""
        pieces = [body] if isinstance(body, bytes) else list(body)
        length = [(b"content-length", b"%d" % sum(map(len, pieces)))] if any(pieces) else []
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": spec_version},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"testserver"), *(length if complete else ()), *headers],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        if extensions is not None:
            self.scope["extensions"] = extensions
        self.sent: list[dict[str, Any]] = []
        """What the app has sent while the client was there."""
        self.dropped: list[dict[str, Any]] = []
        """What it has sent after the client had left."""
        self.gone = False
        self.receiving = 0
        """Calls of `receive` under way."""
        self.most_receiving = 0
        self.over = False
        """The app has returned, or raised `error`."""
        self.returned: Any = None
        self.error: BaseException | None = None
        self._incoming: list[dict[str, Any]] = []
        self._ended = False
        self._said = False
        for piece in pieces[:-1]:
            self.upload(piece)
        self.upload(pieces[-1], more=not complete)

    def __repr__(self) -> str:
        return (
            f"Connection: {len(self._incoming)} messages unread, gone={self.gone},"
            f" receiving={self.receiving}, over={self.over}, error={self.error!r},"
            f" sent={[message['type'] for message in self.sent]}"
        )

    # The app's side

    async def receive(self) -> dict[str, Any]:
        self.receiving += 1
        self.most_receiving = max(self.most_receiving, self.receiving)
        self.changed()
        try:
            if self.manner == ONCE:
                await self.until(lambda: self._incoming or (not self._said and self._is_over))
                if self._incoming:
                    return self._incoming.pop(0)
                self._said = True
            else:
                await self.until(lambda: self._incoming or self._is_over)
                if not self._is_over:
                    return self._incoming.pop(0)
            return {"type": "http.disconnect"}
        finally:
            self.receiving -= 1
            self.changed()

    async def send(self, message: dict[str, Any]) -> None:
        if self.gone and self.manner == RAISES:
            raise BrokenPipeError
        (self.dropped if self.gone else self.sent).append(message)
        self.changed()
        if self.back_pressure and self.body:
            await self.until(lambda: self.gone)
        if self.complete and self.manner == ONCE:
            await checkpoint()  # hypercorn may say "disconnect" before the last send() returns

    @property
    def _is_over(self) -> bool:
        return self.gone or self.complete

    # The client's side

    def upload(self, piece: bytes, *, more: bool = True) -> None:
        self._incoming.append({"type": "http.request", "body": piece, "more_body": more})
        self.changed()

    def leave(self) -> None:
        self.gone = True
        self.changed()

    @property
    def waits(self) -> bool:
        """Everything has been read, and somebody waits for more."""
        return self.receiving > 0 and not self._incoming

    @property
    def started(self) -> bool:
        return any(message["type"] == "http.response.start" for message in self.sent)

    @property
    def complete(self) -> bool:
        return any(
            message["type"] == "http.response.pathsend"
            or (message["type"] == "http.response.body" and not message.get("more_body"))
            for message in self.sent
        )

    @property
    def status(self) -> int | None:
        return next((m["status"] for m in self.sent if m["type"] == "http.response.start"), None)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        start = next(m for m in self.sent if m["type"] == "http.response.start")
        return [(bytes(name), bytes(value)) for name, value in start.get("headers", ())]

    @property
    def body(self) -> bytes:
        return b"".join(
            bytes(message.get("body", b""))
            for message in self.sent
            if message["type"] == "http.response.body"
        )

    async def has_started(self) -> None:
        await self.soon(lambda: self.started, "the response's start")

    async def has_sent(self, piece: bytes) -> None:
        await self.soon(lambda: piece in self.body, f"{piece!r} in the response")

    async def has_completed(self) -> None:
        await self.soon(lambda: self.complete, "the response's end")

    async def is_complete_or_over(self) -> None:
        await self.soon(lambda: self.complete or self.over, "the response's end, or the app's")

    async def is_listened_to(self) -> None:
        await self.soon(lambda: self.waits, "a receive() that waits for more")

    async def is_listened_to_or_over(self) -> None:
        await self.soon(lambda: self.waits or self.over, "a receive() that waits, or the end")

    async def is_over(self) -> None:
        await self.soon(lambda: self.over, "the app's end")

    async def has_ended(self) -> None:
        """The app has returned, and raised nothing."""
        await self.is_over()
        if self.error is not None:
            raise self.error

    # Between them

    async def serve(self, app: Any) -> None:
        """Run `app` as a server would run it."""
        try:
            self.returned = await app(self.scope, self.receive, self.send)
        except Exception as error:
            self.error = error
        self.over = True
        self.changed()


@asynccontextmanager
async def serving(app: Any, connection: Connection) -> AsyncIterator[Connection]:
    """Run `app` beside the test; at the end nothing that it started may be left."""
    before = set(anyio.get_running_tasks())
    failure = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.serve, app)
        try:
            yield connection
        except Exception as error:  # the task group would wrap it
            failure = error
        if not connection.over:
            connection.leave()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    left = [task for task in anyio.get_running_tasks() if task not in before]
    assert not left, f"tasks left behind: {left}"
    threads = anyio.to_thread.current_default_thread_limiter().borrowed_tokens
    assert not threads, f"{threads} threads left at work"


async def exchange(app: Any, connection: Connection) -> Connection:
    """Run `app` to its end, and raise what it raised."""
    async with serving(app, connection):
        await connection.has_ended()
    return connection

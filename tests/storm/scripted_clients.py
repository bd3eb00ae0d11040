"""Clients of a storm in process: each does something at random, and leaves at a random moment."""

import random
from dataclasses import dataclass

import anyio
from anyio.lowlevel import checkpoint

from ..frameworks.connection import MANNERS, RAISES, Connection

MOMENTS = ("before", "ticks", "time", "started", "completed", "after", "never")
UPLOADS = frozenset({"slow", "echo", "late", "sync"})
"""The routes that take a body, or do not mind one."""


@dataclass(frozen=True)
class Route:
    """A route of an app."""

    name: str
    endless: bool = False
    """Its response comes to no end, so that no client may wait for it."""
    get: bool = True


class Visit:
    """One request: what its client does is drawn from `seed`."""

    def __init__(self, key: str, routes: list[Route], seed: str) -> None:
        draw = self._draw = random.Random(f"{seed} {key}")
        self.key = key
        self.route = draw.choice(routes)
        moments = MOMENTS[:4] if self.route.endless else MOMENTS
        self.moment = draw.choice(moments)
        uploads = not self.route.get or (self.route.name in UPLOADS and draw.random() < 0.6)
        self._pieces = self._body() if uploads else [b""]
        self.stays = self.moment in ("completed", "after", "never")
        # A client that stays sends its whole body; of another's, the end may be missing.
        self.whole = self.stays or draw.random() < 0.5
        self.manner = draw.choice((*MANNERS, *MANNERS, RAISES))
        self._at_once = draw.random() < 0.5

    def __repr__(self) -> str:
        size = sum(map(len, self._pieces))
        return f"{self.key}: {self.route.name}, {size} bytes, leaves: {self.moment}, {self.manner}"

    def _body(self) -> list[bytes]:
        draw = self._draw
        largest = draw.choice((1, 1_000, 20_000))
        return [bytes(draw.randint(1, largest)) for _ in range(draw.randint(1, 8))]

    @property
    def body(self) -> bytes:
        return b"".join(self._pieces)

    def connect(self) -> Connection:
        """Made when the storm has come to it: a connection is bound to its loop."""
        method = "POST" if self.body else "GET"
        path = f"/{self.route.name}"
        spec_version = "2.4" if self.manner == RAISES else "2.3"
        options = {"manner": self.manner, "spec_version": spec_version}
        if self._at_once and self.whole:
            connection = Connection(method, path, body=self._pieces, **options)  # type: ignore[arg-type]
        else:
            connection = Connection(method, path, complete=False, **options)  # type: ignore[arg-type]
        connection.scope["query_string"] = f"key={self.key}".encode()
        return connection

    async def make(self, app: object) -> Connection:
        """Have `app` serve it, until that is over."""
        connection = self.connect()
        if self.moment == "before":
            connection.leave()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connection.serve, app)
                if not (self._at_once and self.whole):
                    tasks.start_soon(self._upload, connection)
                await self._wait_for_moment(connection)
                if self.moment != "never":
                    connection.leave()
                await connection.until(lambda: connection.over)
                tasks.cancel_scope.cancel()
        return connection

    async def _upload(self, connection: Connection) -> None:
        for number, piece in enumerate(self._pieces, 1):
            if self._draw.random() < 0.3:
                await anyio.sleep(self._draw.uniform(0, 0.004))
            if connection.gone:
                return
            connection.upload(piece, more=number < len(self._pieces) or not self.whole)

    async def _wait_for_moment(self, connection: Connection) -> None:
        draw = self._draw
        if self.moment == "ticks":
            for _ in range(draw.randint(0, 40)):
                await checkpoint()
        elif self.moment == "time":
            await anyio.sleep(draw.uniform(0, 0.02))
        elif self.moment == "started":
            with anyio.move_on_after(draw.uniform(0, 0.03)):
                await connection.until(lambda: connection.started or connection.over)
            for _ in range(draw.randint(0, 3)):
                await checkpoint()
        elif self.moment in ("completed", "after"):
            await connection.until(lambda: connection.complete or connection.over)
            if self.moment == "after":
                await anyio.sleep(draw.uniform(0, 0.01))

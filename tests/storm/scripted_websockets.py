"""WebSocket clients of a storm in process: each says something, and leaves at a random moment."""

import random

import anyio
from anyio.lowlevel import checkpoint

from ..frameworks.connection import MANNERS
from ..frameworks.websocket_connection import WebSocketConnection

ROUTES = ("pushes", "listens", "catches-up", "socket")
MOMENTS = ("before", "ticks", "time", "accepted", "pushed")


class WebSocketVisit:
    """One WebSocket: what its client does is drawn from `seed`."""

    def __init__(self, key: str, seed: str) -> None:
        draw = self._draw = random.Random(f"{seed} {key}")
        self.key = key
        self.route = draw.choice(ROUTES)
        moments = (*MOMENTS, "closed", "closed") if self.route == "socket" else MOMENTS
        self.moment = draw.choice(moments)
        self.stays = self.moment == "closed"
        self.manner = draw.choice(MANNERS)
        # What a handler never reads must have room: its client's departure comes behind it.
        most, longest = (5, 100) if self.route == "pushes" else (50, 1_000)
        self._texts = ["x" * draw.randint(1, longest) for _ in range(draw.randint(1, most))]

    def __repr__(self) -> str:
        return f"{self.key}: {self.route}, {len(self._texts)} texts, {self.moment}, {self.manner}"

    async def make(self, app: object) -> WebSocketConnection:
        """Have `app` serve it, until that is over."""
        connection = WebSocketConnection(f"/{self.route}", manner=self.manner)
        connection.scope["query_string"] = f"key={self.key}".encode()
        if self.moment == "before":
            connection.leave()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connection.serve, app)
                tasks.start_soon(self._talk, connection)
                await self._wait_for_moment(connection)
                connection.leave()
                await connection.until(lambda: connection.over)
                tasks.cancel_scope.cancel()
        return connection

    async def _talk(self, connection: WebSocketConnection) -> None:
        for text in self._texts:
            if self._draw.random() < 0.1:
                await anyio.sleep(self._draw.uniform(0, 0.004))
            if connection.gone:
                return
            connection.say(text)

    async def _wait_for_moment(self, connection: WebSocketConnection) -> None:
        draw = self._draw
        if self.moment == "ticks":
            for _ in range(draw.randint(0, 40)):
                await checkpoint()
        elif self.moment == "time":
            await anyio.sleep(draw.uniform(0, 0.02))
        elif self.moment == "closed":
            await connection.until(lambda: connection.closed or connection.over)
        else:
            pushed = self.moment == "pushed"
            with anyio.move_on_after(draw.uniform(0, 0.03)):
                await connection.until(
                    lambda: (connection.texts if pushed else connection.accepted) or connection.over
                )
            for _ in range(draw.randint(0, 3)):
                await checkpoint()

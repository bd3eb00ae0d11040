"""Applications that work until they are stopped, and say when that was: for `watched`, `latency`.

``/wait/KEY`` works for an hour, ``/count`` and ``/times`` tell what has happened so far.  The clock
is the machine's monotonic one, so that the client's times and the server's agree.
"""

import asyncio
import json
import time
from typing import Any

from contenders import FASTAPI_DISCONNECT, OURS, TASK_GROUP, contenders

LISTENS = "listens by itself"
"""What the server alone takes: an unwrapped application that waits in `receive()`."""
UNWATCHED = "unwrapped"
"""It never learns that its client has left."""


class Work:
    """What is in flight, and when what was stopped."""

    def __init__(self) -> None:
        self.in_flight: int = 0
        self.stopped: dict[str, float] = {}
        self.said: dict[str, float] = {}
        """When the server said that the client had left."""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if path == "/times":
            await _answer(send, {"stopped": self.stopped, "said": self.said})
        elif not path.startswith("/wait/"):
            last = max(self.stopped.values(), default=0.0)
            count = {"in_flight": self.in_flight, "stopped": len(self.stopped), "last": last}
            await _answer(send, count)
        else:
            await self._wait(path.removeprefix("/wait/"), None)

    async def listening_app(self, scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if path.startswith("/wait/"):
            await self._wait(path.removeprefix("/wait/"), receive)
        else:
            await self.app(scope, receive, send)

    async def _wait(self, key: str, receive: Any) -> None:
        self.in_flight += 1
        try:
            if receive is None:
                await asyncio.sleep(3600)
            else:
                while (await receive())["type"] != "http.disconnect":
                    pass
        finally:
            self.stopped[key] = time.monotonic()
            self.in_flight -= 1

    def stamped(self, app: Any) -> Any:
        """`app`, where it is noted when the server says that a client has left."""

        async def stamping(scope: Any, receive: Any, send: Any) -> None:
            key = scope.get("path", "").removeprefix("/wait/")

            async def stamping_receive() -> Any:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self.said.setdefault(key, time.monotonic())
                return message

            await app(scope, stamping_receive, send)

        return stamping


async def _answer(send: Any, document: Any) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def ways() -> list[str]:
    """What there is to compare."""
    others = [name for name in (FASTAPI_DISCONNECT, TASK_GROUP) if name in contenders()]
    return [LISTENS, OURS, *others]


def application(way: str, *, stamps: bool = False) -> Any:
    """The application in one of the ways."""
    work = Work()
    if way == LISTENS:
        app: Any = work.listening_app
    else:
        app = contenders()[way](work.app) if way != UNWATCHED else work.app
    return work.stamped(app) if stamps else app


def target(way: str, *, stamps: bool = False) -> str:
    """What to tell a server to serve."""
    return f"{__name__}:{'stamped' if stamps else 'plain'}_{_number(way)}"


def _number(way: str) -> int:
    return [UNWATCHED, *ways()].index(way)


def __getattr__(name: str) -> Any:
    kind, _, number = name.partition("_")
    if kind not in ("stamped", "plain") or not number.isdigit():
        raise AttributeError(name)
    way = [UNWATCHED, *ways()][int(number)]
    globals()[name] = app = application(way, stamps=kind == "stamped")
    return app

"""What the servers serve: the user's app, wrapped to tell the checking process what happens.

It runs in the servers' processes.  A header, which the app does not see, says how to serve each of
the check's own requests; any other request goes to the app untouched.
"""

import asyncio
import contextlib
import json
import math
import os
import sys
import threading
from typing import Any, Final

import anyio

from .._application import as_single_callable
from .._middleware import DisconnectMiddleware
from .._report import DisconnectReport, observers
from .._types import App, Message, Receive, Scope, Send
from .answers import Answer, OfRequest, OfWebSocket
from .events import follow, follow_generators
from .following import DISCONNECTS, Followed, Follower, followed
from .inside import look_inside
from .line import Line
from .standing import coroutines_of, current_task, standing
from .target import load
from .tracing import CALLS, Trace

HEADER: Final = "x-asgi-disconnect-check"
ENVIRONMENT: Final = "ASGI_DISCONNECT_CHECK"
KEY: Final = "asgi_disconnect._check"


class Probe:
    """The application that the servers run."""

    def __init__(self, app: Any, line: Line, folder: str = "") -> None:
        self._app = as_single_callable(app)
        self._line = line
        self._folder = folder
        self._follower: Follower | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if self._follower is None:
            self._begin()
        if scope.get("type") not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        wanted = HEADER.encode()
        headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        words = next((value for name, value in headers if name.lower() == wanted), None)
        if words is None:
            return await self._app(scope, receive, send)
        request, mode = words.decode().split()
        if mode == "traced":
            self._line.trace = self._line.trace or Trace(self._app)
            scope = {**scope, CALLS: self._line.calls}
        scope = {
            **scope,
            "headers": [(name, value) for name, value in headers if name.lower() != wanted],
            KEY: request,
        }
        answer = OfRequest() if scope["type"] == "http" else OfWebSocket()
        visit = Visit(request, answer, self._line, self._folder)
        return await visit.serve(self._app, mode, scope, receive, send)

    def _begin(self) -> None:
        """The event loop is running now."""
        self._follower = Follower(_cancellations)
        follow(self._follower)
        follow_generators(self._follower)
        self._line.loop_thread = threading.get_ident()
        try:
            self._line.call_soon = asyncio.get_running_loop().call_soon_threadsafe
        except RuntimeError:
            self._line.call_soon = sys.modules["trio"].lowlevel.current_trio_token().run_sync_soon


def _cancellations() -> tuple[type[BaseException], ...]:
    """What a cancelled task raises, on asyncio and on trio."""
    trio = sys.modules.get("trio")
    return (asyncio.CancelledError,) if trio is None else (asyncio.CancelledError, trio.Cancelled)


class Visit:
    """One of the check's requests or WebSockets."""

    def __init__(self, request: str, answer: Answer, line: Line, folder: str) -> None:
        self._request = request
        self._line = line
        self._answer = answer
        self.followed = Followed(self._tell, folder)
        self._folder = folder
        self._task: Any = None

    async def serve(self, app: App, mode: str, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serve the request in the given mode.

        ``bare``: the app alone.  ``as-is``: the app, which contains our middleware.  ``outermost``:
        our middleware around the app; ``outermost:SECONDS``: around a WebSocket, with this much
        `grace`.  ``idle``: our middleware around the app, doing nothing, for a handler that needs
        one.  ``deadline:SECONDS``: our middleware around the app, with a deadline.  ``traced``: as
        it is, and each layer tells what it gets.
        """

        async def witnessed(scope: Scope, receive: Receive, send: Send) -> Any:
            return await self._witness(app, scope, receive, send)

        receive, send = self._note_departure(receive, send)
        served: App = witnessed
        if mode == "outermost":
            served = DisconnectMiddleware(witnessed)
        elif mode.startswith("outermost:"):
            grace = float(mode.partition(":")[2])
            served = DisconnectMiddleware(witnessed, grace=grace, websocket=True)
        elif mode.startswith("deadline:"):
            served = DisconnectMiddleware(witnessed, deadline=float(mode.partition(":")[2]))
        elif mode == "idle":
            served = DisconnectMiddleware(
                witnessed, cancel=False, watch_after=math.inf, websocket=True
            )
        observers.append(self._report)
        token = followed.set(self.followed)
        try:
            return await served(scope, receive, send)
        finally:
            observers.remove(self._report)
            with contextlib.suppress(ValueError):  # closed in another context
                followed.reset(token)

    def _note_departure(self, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Wrap the server's `receive` and `send`, to note the departure when they tell it."""

        async def noted_receive() -> Message:
            message = await receive()
            if message.get("type") in DISCONNECTS:
                self.followed.departed = True
            return message

        async def noted_send(message: Message) -> None:
            try:
                await send(message)
            except OSError as error:
                self.followed.departed = True
                self.followed.reasons.append(error)
                raise

        # The middleware looks at whose method it is.
        noted_receive.__self__ = getattr(receive, "__self__", None)  # type: ignore[attr-defined]
        return noted_receive, noted_send

    def standing(self) -> dict[str, Any]:
        """Where the app stands."""
        return standing(coroutines_of(self._task, self.followed), self._folder)

    async def _witness(self, app: App, scope: Scope, receive: Receive, send: Send) -> Any:
        is_websocket = scope["type"] == "websocket"

        async def told_receive() -> Message:
            message = await receive()
            if message.get("type") in DISCONNECTS and not self._answer.complete:
                self._tell("told")
            return message

        async def told_send(message: Message) -> None:
            complete = self._answer.complete
            for what, more in self._answer.note(message):
                self._tell(what, **more)
            try:
                await send(message)
            except OSError:
                if is_websocket:  # some servers tell the app by this error
                    self._tell("refused")
                raise
            if self._answer.complete and not complete:
                self.followed.complete = True
                self._tell("complete")

        self._task = current_task()
        self._line.visits[self._request] = self
        self._tell("called")
        how = "returned"
        try:
            return await app(scope, told_receive, told_send)
        except anyio.get_cancelled_exc_class():
            how = "cancelled"
            raise
        except BaseException as error:
            how = f"raised {error!r}"
            raise
        finally:
            self._line.visits.pop(self._request, None)
            self._tell("ended", how=how)

    def _report(self, report: DisconnectReport) -> None:
        if report.scope.get(KEY) == self._request:
            self._tell("report", outcome=report.outcome)

    def _tell(self, what: str, **more: Any) -> None:
        self._line.tell(self._request, what, **more)


def _make() -> Probe:
    settings = json.loads(os.environ[ENVIRONMENT])
    look_inside()
    app = load(settings["app"], settings["folder"], factory=settings["factory"])
    return Probe(app, Line(settings["line"], settings["folder"]), settings["folder"])


if ENVIRONMENT in os.environ:  # a server imports this
    application: Probe = _make()

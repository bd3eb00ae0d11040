"""What the servers serve: the user's app, and around it what tells the checking process of it.

It runs in the servers' processes.  A request of the check's own carries a header, which the app
does not see, that says how it is to be served; any other goes to the app untouched.
"""

import asyncio
import json
import math
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any, Final

import anyio

from .._application import as_single_callable
from .._exchange.response import COMPLETE, NOT_STARTED, Response, advance
from .._middleware import DisconnectMiddleware
from .._report import DisconnectReport, observers
from .._types import App, Message, Receive, Scope, Send
from .target import load
from .tracing import CALLS, Call, Trace

HEADER: Final = "x-asgi-disconnect-check"
ENVIRONMENT: Final = "ASGI_DISCONNECT_CHECK"
KEY: Final = "asgi_disconnect._check"
SERVERS: Final = frozenset({"uvicorn", "hypercorn", "daphne", "granian", "gunicorn"})


class Line:
    """The socket to the checking process: JSON, a line each way."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.trace: Trace | None = None
        self.calls: list[Call] = []
        self._before: set[int] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, request: str, what: str, **more: Any) -> None:
        """Say what happened; synchronous, so that a task that is being cancelled says it too."""
        line = json.dumps({"request": request, "what": what, **more}).encode() + b"\n"
        with self._lock:
            self._socket.sendall(line)

    def _listen(self) -> None:
        with self._socket.makefile() as lines:
            for line in lines:
                if self.loop is not None:
                    self.loop.call_soon_threadsafe(self._answer, line.strip())
        # Whoever started us is gone, however that came: this process and what it belongs to end.
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    def _answer(self, question: str) -> None:
        """``begin``: remember the tasks that there are.  ``hiders``: tell who hid the disconnect
        from the layers inside it.  Else: tell which tasks there are that there were not."""
        if question == "hiders":
            hiders = self.trace.hiders(self.calls) if self.trace is not None else []
            self.tell(question, "done", hiders=hiders)
            return
        tasks = asyncio.all_tasks()
        if question == "begin":
            self._before = set(map(id, tasks))
            self._kept = tasks  # so that no other task gets the identity of one of these
            self.tell(question, "done")
        else:
            left = [task.get_coro() for task in tasks if id(task) not in self._before]
            names = [_name_of(coroutine) for coroutine in left if not _is_a_servers(coroutine)]
            self.tell(question, "done", tasks=sorted(names))


def _is_a_servers(coroutine: Any) -> bool:
    """It is the server's own, which it ends in its own time."""
    code = getattr(coroutine, "cr_code", None)
    return code is not None and not SERVERS.isdisjoint(Path(code.co_filename).parts)


def _name_of(coroutine: Any) -> str:
    return str(getattr(coroutine, "__qualname__", coroutine))


class Probe:
    """The application that the servers are given."""

    def __init__(self, app: Any, line: Line) -> None:
        self._app = as_single_callable(app)
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        try:
            self._line.loop = asyncio.get_running_loop()
        except RuntimeError:  # trio: whether a task is left cannot be asked there
            self._line.loop = None
        if scope.get("type") != "http":
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
        return await Visit(request, self._line).serve(self._app, mode, scope, receive, send)


class Visit:
    """One request of the check's."""

    def __init__(self, request: str, line: Line) -> None:
        self._request = request
        self._line = line
        self._response: Response = NOT_STARTED
        self._told = False

    async def serve(self, app: App, mode: str, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serve it in the way that was asked for.

        ``bare``: the app alone.  ``as-is``: the app, which has a middleware of ours in it.
        ``outermost``: our middleware around it.  ``idle``: our middleware around it, for a handler
        that uses it, but such that it does nothing.  ``traced``: as it is, and each layer tells.
        """

        async def witnessed(scope: Scope, receive: Receive, send: Send) -> Any:
            return await self._witness(app, scope, receive, send)

        served: App = witnessed
        if mode == "outermost":
            served = DisconnectMiddleware(witnessed)
        elif mode == "idle":
            served = DisconnectMiddleware(witnessed, cancel=False, watch_after=math.inf)
        observers.append(self._report)
        try:
            return await served(scope, receive, send)
        finally:
            observers.remove(self._report)

    async def _witness(self, app: App, scope: Scope, receive: Receive, send: Send) -> Any:
        async def told_receive() -> Message:
            message = await receive()
            if message.get("type") == "http.disconnect" and self._response is not COMPLETE:
                self._tell("told")
            return message

        async def told_send(message: Message) -> None:
            before, self._response = self._response, advance(self._response, message)
            if before is NOT_STARTED and self._response is not NOT_STARTED:
                self._tell("started", status=message.get("status"))
            await send(message)
            if before is not COMPLETE and self._response is COMPLETE:
                self._tell("complete")

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
            self._tell("ended", how=how)

    def _report(self, report: DisconnectReport) -> None:
        if report.scope.get(KEY) == self._request:
            self._tell("report", outcome=report.outcome)

    def _tell(self, what: str, **more: Any) -> None:
        self._line.tell(self._request, what, **more)


def _make() -> Probe:
    settings = json.loads(os.environ[ENVIRONMENT])
    app = load(settings["app"], settings["folder"], factory=settings["factory"])
    return Probe(app, Line(settings["line"]))


if ENVIRONMENT in os.environ:  # a server imports this
    application: Probe = _make()

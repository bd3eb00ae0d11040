"""The line from the served app to the checking process, which asks questions on it.

The app sends lines of JSON.  It answers each question under the question's own text:

- ``begin``: remember the tasks that exist;
- ``left``, and anything behind it: which tasks exist that did not then;
- ``where KEY``: where a request stands that has not ended;
- ``hiders``: who hid the disconnect from the layers inside it.
"""

import asyncio
import gc
import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol

from .following import Followed
from .standing import blocked, is_left_over, name_of, request_of
from .tracing import Call, Trace

ANSWER_LIMIT: Final = 0.5
"""Seconds that an event loop has to answer before we take it to be blocked."""


class Asked(Protocol):
    """One of the check's requests, while it is served."""

    followed: Followed

    def standing(self) -> dict[str, Any]:
        """Where the app stands."""
        ...


class Line:
    """The socket to the checking process."""

    def __init__(self, address: str, folder: str = "") -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._lock = threading.Lock()
        self._folder = folder
        self.call_soon: Callable[..., object] | None = None
        """Calls a function on the event loop's thread, once there is one."""
        self.loop_thread = 0
        self.trace: Trace | None = None
        self.calls: list[Call] = []
        self.visits: dict[str, Asked] = {}
        """The requests that have not ended."""
        self._before: set[asyncio.Task[Any]] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, request: str, what: str, **more: Any) -> None:
        """Say what happened; sync, so that a task that is being cancelled can say it, too."""
        told = {"request": request, "what": what, "when": monotonic(), **more}
        line = json.dumps(told).encode() + b"\n"
        with self._lock:
            self._socket.sendall(line)

    def _listen(self) -> None:
        with self._socket.makefile() as lines:
            for line in lines:
                if self.call_soon is not None:
                    self._ask(line.strip())
        # The process that started us is gone, for whatever reason: end this process and its group.
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    def _ask(self, question: str) -> None:
        answered = threading.Event()

        def answer() -> None:
            answered.set()
            self.tell(question, "done", **self._answer(question))

        assert self.call_soon is not None
        self.call_soon(answer)
        if question.startswith("where") and not answered.wait(ANSWER_LIMIT):
            place = blocked(self.loop_thread, self._folder)
            self.tell(question, "done", **({"blocked": place} if place else {}))

    def _answer(self, question: str) -> dict[str, Any]:
        name, _, key = question.partition(" ")
        if name == "hiders":
            hiders = self.trace.hiders(self.calls) if self.trace is not None else []
            return {"hiders": hiders}
        if name == "where":
            visit = self.visits.get(key)
            return visit.standing() if visit is not None else {}
        try:
            tasks = asyncio.all_tasks()
        except RuntimeError:  # trio does not tell which tasks exist
            return {}
        if name == "begin":
            self._before = tasks
            return {}
        gc.collect()  # closes generators that nobody refers to any more
        running = [visit.followed for visit in self.visits.values()]
        left = (
            name_of(task, self._folder)
            for task in tasks - self._before
            if is_left_over(task) and request_of(task) not in running
        )
        return {"tasks": sorted(left)}

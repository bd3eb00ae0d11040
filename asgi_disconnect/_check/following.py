"""Finds out which cleanup is cut off, and what swallows a cancellation.

It follows the app's coroutines and async generators from the moment that the client leaves, in
whatever task they run.  `events` tells of four things:

- an exception *arrives* in a frame: it is raised there, thrown in, or comes from a call;
- the frame *catches* it, by `except`, `finally` or `with`;
- the frame is *suspended* at an await or a `yield`;
- it is *left*, by an exception or by returning.

A cancellation that arrives in a frame begins its cleanup, which is whatever the frame awaits while
it handles the cancellation.  If the task is cancelled again in this time, and the second
cancellation leaves the frame, the cleanup was **cut off**.  If the frame is suspended again but no
longer handles the first one, it has **swallowed** it.

Only a cancellation of the task itself counts: not one that comes from an awaited task, nor one that
`asyncio.timeout()` or a cancel scope uncancels.
"""

import asyncio
import inspect
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Final

from .places import describe, is_of, is_the_apps, is_the_middlewares

_FOLLOWED_CODE: Final = (
    inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
)
DISCONNECTS: Final = ("http.disconnect", "websocket.disconnect")
"""The messages that tell that the client has left."""
_ENDED: Final = ("ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect")
"""Exceptions that tell it, too (Starlette's and Litestar's; ours)."""
_TOLD: Final = "_asgi_disconnect_told"
"""The attribute of an exception that has been reported to cut off a cleanup."""

followed: ContextVar["Followed | None"] = ContextVar("followed", default=None)
"""The request that this context belongs to; the tasks that it starts have it, too."""


class Followed:
    """One request that is followed."""

    def __init__(self, tell: Callable[..., object], folder: str = "") -> None:
        self.tell = tell
        """Reports what has happened, with details."""
        self._folder = folder
        self.departed = False
        """Its client has left, which is why things are cancelled now."""
        self.complete = False
        """Its response is complete."""
        self.reasons: list[BaseException] = []
        """What the server's `send` has raised."""
        self._cut_off: list[str] = []
        self._swallowed: list[str] = []

    def note_cancelled(self, *, by_a2wsgi: bool = False) -> None:
        """A cancellation has reached the app, or a2wsgi, which does not pass it on."""
        self.tell("reached", **({"by_a2wsgi": True} if by_a2wsgi else {}))

    def note_cut_off(self, code: CodeType, line: int | None) -> None:
        """A function's cleanup was cut off here."""
        self._add(self._cut_off, code, line)
        self.tell("cut off", cut_off=self._cut_off)

    def note_swallowed(self, code: CodeType, line: int | None) -> None:
        """A function has swallowed its cancellation here."""
        self._add(self._swallowed, code, line)
        self.tell("swallowed", swallowed=self._swallowed)

    def _add(self, places: list[str], code: CodeType, line: int | None) -> None:
        place = describe(code, line, self._folder)
        if place not in places:
            places.append(place)


@dataclass
class _Cleanup:
    """How a frame handles an exception that ended its work."""

    code: CodeType
    request: Followed
    began: BaseException
    count: int
    """How often its task had been cancelled when this began."""
    line: int | None
    """Where the exception was caught, or arrived."""
    swallowed: bool = False
    second: BaseException | None = None
    second_line: int | None = None


class Follower:
    """Keeps track of the frames of one process."""

    def __init__(self, cancelled: Callable[[], tuple[type[BaseException], ...]]) -> None:
        self._cancelled = cancelled
        # By frame id: a reference would keep the frame's variables alive.
        self._cleanups: dict[int, _Cleanup] = {}
        self._generators: dict[int, tuple[CodeType, Followed]] = {}

    def begin_generator(self, generator: Any) -> None:
        """An async generator runs for the first time; it may be closed in another context."""
        request = followed.get()
        frame = getattr(generator, "ag_frame", None)
        if request is not None and frame is not None:
            self._generators[id(frame)] = frame.f_code, request

    def arrive(self, frame: FrameType, error: BaseException) -> bool:
        """An exception arrives in the frame; true if we follow it from now on."""
        code = frame.f_code
        if not code.co_flags & _FOLLOWED_CODE:
            return False
        request = self._request_of(frame)
        if request is None or not request.departed:
            return False
        cancelled = isinstance(error, self._cancelled())
        cleanup = self._cleanup_of(frame)
        if cleanup is not None and (error is cleanup.began or not cancelled):
            return True
        count = _count_cancellations()
        if cleanup is not None and not cleanup.swallowed and _is_handled(cleanup.began):
            if count is None or count > cleanup.count:
                cleanup.second, cleanup.second_line = error, frame.f_lineno
            return True
        if cancelled and count == 0:  # it comes from an awaited task
            return False
        if not (cancelled or self._ends(request, error)):
            return False
        if cancelled and not is_the_middlewares(code):
            request.note_cancelled(by_a2wsgi=is_of("a2wsgi", code))
        self._cleanups[id(frame)] = _Cleanup(code, request, error, count or 0, frame.f_lineno)
        return True

    def catch(self, frame: FrameType, error: BaseException, line: int | None) -> None:
        """The frame handles the exception in an `except`, a `finally` or a `with`."""
        cleanup = self._cleanup_of(frame)
        if cleanup is not None and error is cleanup.began and line is not None:
            cleanup.line = line

    def suspend(self, frame: FrameType) -> None:
        """The frame awaits something."""
        cleanup = self._cleanup_of(frame)
        if cleanup is None or cleanup.swallowed or _is_handled(cleanup.began):
            return
        cleanup.swallowed = True
        count, began = _count_cancellations(), cleanup.began
        taken_back = count is None or count < cleanup.count or _is_of_scope(began)
        if isinstance(began, self._cancelled()) and not taken_back and is_the_apps(cleanup.code):
            cleanup.request.note_swallowed(frame.f_code, cleanup.line)

    def leave(self, frame: FrameType, error: BaseException | None) -> None:
        """The frame is done."""
        if error is not None and _waited_for_children(frame):
            # The children are followed themselves; nothing else had to be done here.
            BaseException.__setattr__(error, _TOLD, True)
        cleanup = self._cleanup_of(frame)
        self._cleanups.pop(id(frame), None)
        self._generators.pop(id(frame), None)
        if cleanup is None or error is None or cleanup.second is not error:
            return
        # The error goes on to the caller, which is not at fault.
        if is_the_apps(frame.f_code) and not getattr(error, _TOLD, False):
            BaseException.__setattr__(error, _TOLD, True)
            cleanup.request.note_cut_off(frame.f_code, cleanup.second_line)

    def _request_of(self, frame: FrameType) -> Followed | None:
        code, request = self._generators.get(id(frame), (None, None))
        return request if code is frame.f_code else followed.get()

    def _cleanup_of(self, frame: FrameType) -> _Cleanup | None:
        cleanup = self._cleanups.get(id(frame))
        return cleanup if cleanup is not None and cleanup.code is frame.f_code else None

    def _ends(self, request: Followed, error: BaseException) -> bool:
        return (
            isinstance(error, GeneratorExit)
            or type(error).__name__ in _ENDED
            or any(error is reason for reason in request.reasons)
        )


def _is_handled(error: BaseException) -> bool:
    """Whether the running frame, or one that waits for it, handles `error`."""
    handled, seen = sys.exception(), set[int]()
    while handled is not None and id(handled) not in seen:
        if handled is error:
            return True
        seen.add(id(handled))
        handled = handled.__context__
    return False


def _waited_for_children(frame: FrameType) -> bool:
    """Whether the frame is the exit of a task group or nursery, because of a cancellation."""
    name, _, method = frame.f_code.co_qualname.rpartition(".")
    if method not in ("__aexit__", "_aexit") or name not in ("TaskGroup", "NurseryManager"):
        return False
    names = ("exc_type", "et", "etype")  # anyio's, asyncio's, trio's
    return any(frame.f_locals.get(each) is not None for each in names)


def _count_cancellations() -> int | None:
    """How often the running task has been cancelled; None if that is not counted (trio)."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return task.cancelling() if task is not None else None


def _is_of_scope(error: BaseException) -> bool:
    """Whether the error comes from one of anyio's own cancel scopes, which uncancels it."""
    return bool(error.args) and str(error.args[0]).startswith("Cancelled via cancel scope ")

"""Finds where an unfinished request stands: what its tasks await, and what its threads do."""

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from contextvars import Context
from types import CodeType, FrameType
from typing import Any, Final, cast

from .following import Followed, followed
from .places import describe, is_a_servers, is_of, is_the_apps, is_the_middlewares

_IN_A_THREAD: Final = {
    ("anyio", "run_sync_in_worker_thread"),
    ("anyio", "run_sync"),
    ("asyncio", "to_thread"),
    ("asgiref", "__call__"),
    ("trio", "to_thread_run_sync"),
}
"""Coroutines, by module and name, that wait for a thread."""

_KINDS: Final = (
    ("cr_frame", "cr_await"),
    ("ag_frame", "ag_await"),
    ("gi_frame", "gi_yieldfrom"),
)
"""Attributes by which coroutines and generators show where they are, and what they await."""

# `WSGIMiddleware`, which waits with its own queues and events.
_WSGI: Final = ("a2wsgi",)


def current_task() -> Any:
    """The running task, of asyncio or of trio."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return sys.modules["trio"].lowlevel.current_task()


def coroutines_of(task: Any, request: Followed) -> list[Any]:
    """The coroutines of a request's own task, and of the tasks that it has started."""
    if isinstance(task, asyncio.Future):
        tasks = [each for each in asyncio.all_tasks() if request_of(each) is request]
        others = [each.get_coro() for each in tasks if each is not task and is_left_over(each)]
        return [cast("asyncio.Task[Any]", task).get_coro(), *others]
    nurseries = getattr(task, "child_nurseries", ())
    children = [child for nursery in nurseries for child in nursery.child_tasks]
    inside: list[Any] = [each for child in children for each in coroutines_of(child, request)]
    return [task.coro, *(each for each in inside if not is_the_middlewares(each.cr_code))]


def request_of(task: "asyncio.Task[Any]") -> Followed | None:
    """The request that a task belongs to."""
    if sys.version_info >= (3, 12):
        return task.get_context().get(followed)
    held = (each for each in gc.get_referents(task) if isinstance(each, Context))
    return next((each[followed] for each in held if followed in each), None)


def is_left_over(task: "asyncio.Task[Any]") -> bool:
    """Whether it is the app's: not ours, nor the server's, which ends its own in its own time."""
    code = getattr(task.get_coro(), "cr_code", None)
    return code is None or not (is_the_middlewares(code) or is_a_servers(code))


def name_of(task: "asyncio.Task[Any]", folder: str) -> str:
    """What a task runs, and where it is."""
    coroutine: Any = task.get_coro()
    frames = [each for each in _awaited(coroutine) if is_the_apps(each.f_code)]
    name = str(getattr(coroutine, "__qualname__", coroutine))
    if not frames:
        return name
    place = describe(frames[-1].f_code, frames[-1].f_lineno, folder)
    return place if frames[-1].f_code.co_qualname == name else f"{name} in {place}"


def standing(coroutines: list[Any], folder: str) -> dict[str, Any]:
    """``thread``: what the awaited thread runs.  ``at``: the app's line that waits."""
    chains = [list(_awaited(each)) for each in coroutines]
    told: dict[str, Any] = {}
    for chain in chains:
        apps = [frame for frame in chain if is_the_apps(frame.f_code)]
        if apps:
            told["at"] = describe(apps[-1].f_code, apps[-1].f_lineno, folder)
        if any(_waits_for_a_thread(frame.f_code) for frame in chain):
            told["thread"] = next(_work_of_threads(folder), None) or told.get("at", "a function")
            break
    return told


def blocked(loop_thread: int, folder: str) -> str | None:
    """Where the event loop's thread is, if it is in the app's code."""
    frame = _frames_of_threads().get(loop_thread)
    while frame is not None and not is_the_apps(frame.f_code):
        frame = frame.f_back
    return None if frame is None else describe(frame.f_code, frame.f_lineno, folder)


def _awaited(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a coroutine and of everything that it awaits, from the outside in."""
    seen: set[int] = set()
    while coroutine is not None and id(coroutine) not in seen:
        seen.add(id(coroutine))
        frame: FrameType | None = None
        awaited: Any = None
        for has_frame, awaits in _KINDS:
            if hasattr(coroutine, has_frame):
                frame, awaited = getattr(coroutine, has_frame), getattr(coroutine, awaits)
        if isinstance(coroutine, asyncio.Task):
            awaited = cast(Any, coroutine).get_coro()
        elif frame is None:
            # What `async for` and the methods of async generators await has no such attributes.
            awaited = next(filter(_has_a_frame, gc.get_referents(coroutine)), None)
        if frame is not None:
            yield frame
        coroutine = awaited


def _has_a_frame(thing: Any) -> bool:
    return isinstance(thing, asyncio.Task) or any(hasattr(thing, each) for each, _ in _KINDS)


def _waits_for_a_thread(code: CodeType) -> bool:
    if any(is_of(name, code) for name in _WSGI):
        return True
    return any(code.co_name == name and is_of(module, code) for module, name in _IN_A_THREAD)


def _work_of_threads(folder: str) -> Iterator[str]:
    """What the app's worker threads run."""
    for number, frame in _frames_of_threads().items():
        if number == threading.get_ident():
            continue
        stack: list[FrameType] = []
        inner: FrameType | None = frame
        while inner is not None:
            stack.append(inner)
            inner = inner.f_back
        if not any(_is_a_worker(each.f_code) for each in stack):
            continue
        apps = [each for each in stack if is_the_apps(each.f_code)]
        libraries = ("a2wsgi", "starlette", "fastapi")
        own = [each for each in apps if not any(is_of(name, each.f_code) for name in libraries)]
        if own or apps:
            where = (own or apps)[-1]
            yield describe(where.f_code, where.f_lineno, folder)


def _frames_of_threads() -> dict[int, FrameType]:
    return sys._current_frames()  # pyright: ignore[reportPrivateUsage] - it is documented


def _is_a_worker(code: CodeType) -> bool:
    names = ("anyio", "concurrent", "trio", "asgiref")
    return any(is_of(name, code) for name in names)

"""Tells a `Follower` what happens in the frames of this process.

It uses `sys.monitoring`, which costs nothing while no exception is raised; before Python 3.12 it
uses `sys.settrace`, which makes an app several times slower.
"""

import dis
import inspect
import sys
import threading
from types import CodeType, FrameType
from typing import Any, Final

from .following import Follower

_NAME: Final = "asgi_disconnect check"
_GENERATORS: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_GENERATOR


def follow(follower: Follower) -> None:
    """Tell `follower` what happens from now on, as long as this process lives."""
    if sys.version_info >= (3, 12):
        _monitor(follower)
    else:
        trace = _Tracer(follower).call
        threading.settrace(trace)
        sys.settrace(trace)


def follow_generators(follower: Follower) -> None:
    """Tell `follower` of async generators, too; call this on each event loop."""
    first, last = sys.get_asyncgen_hooks()

    def begin(generator: Any) -> None:
        follower.begin_generator(generator)
        if sys.version_info >= (3, 12):
            _watch(generator.ag_code)
        if first is not None:
            first(generator)

    sys.set_asyncgen_hooks(begin, last)


if sys.version_info >= (3, 12):
    _EVENTS: Final = sys.monitoring.events
    _tools: list[int] = []

    def _monitor(follower: Follower) -> None:
        monitoring = sys.monitoring
        tool = next(each for each in range(5, -1, -1) if monitoring.get_tool(each) is None)
        monitoring.use_tool_id(tool, _NAME)
        _tools.append(tool)

        def arrive(code: CodeType, offset: int, error: BaseException) -> None:
            if follower.arrive(_calling_frame(), error):
                _watch(code)

        def catch(code: CodeType, offset: int, error: BaseException) -> None:
            follower.catch(_calling_frame(), error, _line_of(code, offset))

        def suspend(code: CodeType, offset: int, value: object) -> None:
            follower.suspend(_calling_frame())

        def unwind(code: CodeType, offset: int, error: BaseException) -> None:
            follower.leave(_calling_frame(), error)

        def leave(code: CodeType, offset: int, value: object) -> None:
            follower.leave(_calling_frame(), None)

        for event, callback in (
            (_EVENTS.RAISE, arrive),
            (_EVENTS.PY_THROW, arrive),
            (_EVENTS.EXCEPTION_HANDLED, catch),
            (_EVENTS.PY_YIELD, suspend),
            (_EVENTS.PY_UNWIND, unwind),
            (_EVENTS.PY_RETURN, leave),
        ):
            monitoring.register_callback(tool, event, callback)
        of_all = _EVENTS.RAISE | _EVENTS.PY_THROW | _EVENTS.EXCEPTION_HANDLED | _EVENTS.PY_UNWIND
        monitoring.set_events(tool, of_all)

    def _watch(code: CodeType) -> None:
        """Tell what happens in `code` without an exception, too."""
        for tool in _tools:
            sys.monitoring.set_local_events(tool, code, _EVENTS.PY_YIELD | _EVENTS.PY_RETURN)


def _calling_frame() -> FrameType:
    """The frame that a callback is called in."""
    frame = inspect.currentframe()
    for _ in range(2):  # this function's, and the callback's
        assert frame is not None
        frame = frame.f_back
    assert frame is not None
    return frame


def _line_of(code: CodeType, offset: int) -> int | None:
    # The first instruction of a handler has no line.
    lines = (line for _, end, line in code.co_lines() if offset < end and line is not None)
    return next(lines, None)


class _Tracer:
    """Does the same with `sys.settrace`."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._raised: dict[int, BaseException] = {}  # in a frame that has not caught it yet
        self._handled: dict[int, BaseException | None] = {}  # at the frame's last line

    def call(self, frame: FrameType, event: str, argument: Any) -> Any:
        """A frame begins or goes on."""
        return self.happen if frame.f_code.co_flags & _GENERATORS else None

    def happen(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Something happens in it."""
        key = id(frame)
        if event == "exception" and isinstance(argument[1], StopIteration):
            return self.happen  # an await has its result
        raised = self._raised.pop(key, None)
        if event == "exception":
            self._raised[key] = argument[1]
            self._follower.arrive(frame, argument[1])
        elif event == "line":
            if raised is not None:
                self._follower.catch(frame, raised, frame.f_lineno)
            if raised is not None or key in self._handled:
                self._handled[key] = sys.exception()
        elif event == "return":
            instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            if raised is None and instruction == "YIELD_VALUE":
                self._follower.suspend(frame)
            else:
                handled = self._handled.pop(key, None)
                # `sys.settrace` does not tell what is raised again at the end of a `finally`.
                again = handled if instruction == "RERAISE" else None
                self._follower.leave(frame, raised or again)
        return self.happen

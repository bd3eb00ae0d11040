"""Where the app is shielded from cancellation, on asyncio.

anyio tells only a task itself, so its records are read here, and only here.  They are the same in
4.7, the oldest that we take, and in 4.16; whether they still are is tried out before they are used.
"""

import asyncio
import contextlib
import functools
import importlib
from collections.abc import Mapping
from typing import Any, Final

import anyio


def _records() -> Mapping[asyncio.Task[Any], Any]:
    try:
        backend = importlib.import_module("anyio._backends._asyncio")
    except ImportError:
        return {}
    return getattr(backend, "_task_states", {})


_task_states: Final = _records()


def innermost_scope(task: "asyncio.Task[Any]") -> anyio.CancelScope | None:
    """The cancel scope that `task` is in, if it is in any."""
    state = _task_states.get(task)
    return None if state is None else state.cancel_scope


def is_shielded(task: "asyncio.Task[Any]", outside: anyio.CancelScope | None) -> bool:
    """Whether a shield inside the scope `outside` is around `task`."""
    scope: Any = innermost_scope(task)
    while scope is not None and scope is not outside:
        if scope.shield:
            return True
        scope = scope._parent_scope
    return False


@functools.cache  # once
def can_be_seen() -> bool:
    """Whether anyio keeps its records as we read them; to be called in a task."""
    task = asyncio.current_task()
    assert task is not None
    seen = False
    with (  # noqa: ASYNC100 - nothing is awaited, it is only looked at
        contextlib.suppress(AttributeError),
        anyio.CancelScope(shield=True) as shield,
        anyio.CancelScope(),
    ):
        seen = is_shielded(task, None) and not is_shielded(task, shield)
    return seen

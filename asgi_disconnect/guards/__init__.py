"""What runs the app and the tasks beside it: one guard for each back end.

A guard knows nothing of messages or of how a body is kept; an exchange knows nothing of tasks.
"""

import asyncio
import functools
import logging
from typing import TYPE_CHECKING

import anyio

from . import shields
from .on_asyncio import AsyncioGuard, AsyncioGuardWithScope

if TYPE_CHECKING:
    from .on_trio import TrioGuard

logger: logging.Logger = logging.getLogger("asgi_disconnect")


def guard_for_caller() -> "AsyncioGuard | TrioGuard | None":
    """A guard for the back end that the caller runs on; None where nothing can be cancelled."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop of asyncio's
        task = None
    if task is None:
        return _guard_on_trio()
    try:
        loop = task.get_loop()
    except RuntimeError:
        # granian's `--task-impl rust` runs all requests as one task that was never initialised:
        # what enters a cancel scope there mixes with the others', and cancels nothing.
        _warn_of_tasks_that_cannot_be_cancelled()
        return None
    if not shields.can_be_seen():
        return AsyncioGuardWithScope(task, loop, anyio.CancelScope())
    return AsyncioGuard(task, loop, shields.innermost_scope(task))


def _guard_on_trio() -> "TrioGuard | None":
    try:
        from .on_trio import TrioGuard  # which imports trio

        return TrioGuard()
    except (ImportError, RuntimeError):  # something else runs this, without a task
        _warn_of_tasks_that_cannot_be_cancelled()
        return None


@functools.cache  # once
def _warn_of_tasks_that_cannot_be_cancelled() -> None:
    logger.warning(
        "This server's tasks cannot be cancelled (granian --task-impl rust?): requests are passed"
        " through unguarded. Start granian with --task-impl asyncio to have them guarded."
    )

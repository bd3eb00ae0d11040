"""Which guard an exchange gets: one for trio, two for asyncio."""

import asyncio
import functools
import logging
from typing import TYPE_CHECKING

from . import try_out
from .fast import FastGuard
from .reference import ReferenceGuard

if TYPE_CHECKING:
    from .on_trio import TrioGuard
    from .protocol import Guard

logger: logging.Logger = logging.getLogger("asgi_disconnect")


def guard_for_caller() -> "Guard | None":
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
    if not _fast_guard_serves():
        return ReferenceGuard(task, loop)
    return FastGuard(task, loop)


@functools.cache  # once
def _fast_guard_serves() -> bool:
    if not try_out.can_be_read():
        logger.info(
            "anyio or asyncio keep their records in a way that this version of asgi_disconnect does"
            " not know: requests are guarded by public means alone, which takes some microseconds"
            " more, and cleanup in the tasks of anyio's task groups is cancelled at every await"
        )
        return False
    if not try_out.can_spare_groups():
        logger.info(
            "anyio is older than 4.14: cleanup in the tasks of its task groups, as behind"
            " Starlette's BaseHTTPMiddleware and in streams, is cancelled at every await"
        )
    return True


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

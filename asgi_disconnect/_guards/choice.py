"""Chooses an exchange's guard: there is one for trio, and two for asyncio."""

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
    """A guard for the back end that the caller runs on; None if nothing can be cancelled."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # not on asyncio
        task = None
    if task is None:
        return _guard_on_trio()
    try:
        loop = task.get_loop()
    except RuntimeError:
        # granian's `--task-impl rust` runs all requests as one task that was never initialised: the
        # cancel scopes of different requests would mix there, and cancel nothing.
        _warn_of_tasks_that_cannot_be_cancelled()
        return None
    if not _fast_guard_serves():
        return ReferenceGuard(task, loop)
    return FastGuard(task, loop)


@functools.cache  # once
def _fast_guard_serves() -> bool:
    if not try_out.can_be_read():
        logger.info(
            "this version of asgi_disconnect does not know the internals of this anyio or asyncio:"
            " it guards requests by public API alone, which takes some microseconds more, and"
            " cleanup in the tasks of anyio's task groups is cancelled at every await"
        )
        return False
    if not try_out.can_spare_groups():
        logger.info(
            "anyio is older than 4.14: cleanup in the tasks of its task groups (behind Starlette's"
            " BaseHTTPMiddleware, in streams) is cancelled at every await"
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
        "this server's tasks cannot be cancelled (granian --task-impl rust?), so requests pass"
        " through unguarded; start granian with --task-impl asyncio to guard them"
    )

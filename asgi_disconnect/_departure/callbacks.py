"""Calls a disconnect's callback, within a time limit and in one of a fixed number of threads.

Contract §6, and §7 for callbacks that hang.
"""

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final

import anyio

from .threads import AbandonableThreads, CallThreadsafe

logger: logging.Logger = logging.getLogger("asgi_disconnect")

Callback = Callable[[], Any]
"""Sync or async."""

# Not anyio's default ones: a callback that cancels a connection may be what frees those.
_threads: Final = AbandonableThreads("asgi_disconnect._departure.callbacks", 40)


async def call_in_time(
    callback: Callback, patience: float, call_threadsafe: CallThreadsafe
) -> None:
    """Call `callback` and wait up to `patience` seconds for it; if it raises, log that.

    In this time a plain callback also waits for a thread.  If others hang in all of them, it is not
    called, and that is logged.
    """
    plain, place = not inspect.iscoroutinefunction(callback), None
    try:
        with anyio.move_on_after(patience) as limit:
            if plain:
                place = await _threads.acquire(call_threadsafe)
                # In a tuple: trio refuses an awaitable that a thread returns.
                (result,) = await place.run(lambda: (callback(),))
            else:
                result = callback()
            if inspect.isawaitable(result):
                await result
        if limit.cancelled_caught and plain and not (place and place.begun):
            logger.error(
                "a disconnect callback was not called: in %g s none of the %d threads for callbacks"
                " was free; do other callbacks hang? %r",
                *(patience, _threads.count, callback),
            )
    except Exception:
        logger.exception("a disconnect callback raised: %r", callback)

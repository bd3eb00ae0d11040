"""How the callback of a disconnect is called: in time, and in one of a number of threads.

Contract §6 and, of callbacks that hang, §7.
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
    """Call `callback`, and wait for it for `patience` seconds; if it raises, log that.

    A plain one waits for a thread in this time.  If there is none until then, as when others hang
    in all of them, it is not called, and that is logged.
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
                "a callback of a disconnect was not called: in %g s none of the %d threads for"
                " callbacks was free; do others hang? %r",
                *(patience, _threads.count, callback),
            )
    except Exception:
        logger.exception("a callback of a disconnect raised: %r", callback)

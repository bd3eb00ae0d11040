"""A body's bounds: its size, the wait for its next piece, and what was lost (contract §2)."""

import logging
from collections.abc import Iterable
from typing import Any

import anyio

from .._departure.causes import Cause
from .._options import Options
from .._types import Message, Receive
from . import refusal
from .headers import content_length

logger: logging.Logger = logging.getLogger("asgi_disconnect")


class Refused(Exception):
    """The exchange cannot go on; answered with `status` if the response has not started."""

    def __init__(self, status: int, cause: Cause) -> None:
        super().__init__(status, cause)
        self.status = status
        self.cause: Cause = cause


def check_declared(headers: Iterable[Any], options: Options) -> None:
    """Raise `Refused` if ``Content-Length`` alone is too large."""
    if options.max_body_size is not None:
        check_received(content_length(headers) or 0, options)


def check_received(size: float, options: Options) -> None:
    """Raise `Refused` if a body of `size` bytes is too large."""
    if options.max_body_size is not None and size > options.max_body_size:
        raise Refused(refusal.CONTENT_TOO_LARGE, "body_too_large")


async def receive_in_time(receive: Receive, options: Options) -> Message:
    """The next message of an unfinished body; raises `Refused` if it takes too long."""
    if options.body_timeout is None:
        return await receive()
    with anyio.move_on_after(options.body_timeout):
        return await receive()
    raise Refused(refusal.REQUEST_TIMEOUT, "body_timeout")


def lost(error: OSError) -> Refused:
    """The refusal for stored bytes that cannot be read back, which is logged."""
    logger.error("a stored request body cannot be read back: %s", error)
    return Refused(refusal.SERVICE_UNAVAILABLE, "no_storage")

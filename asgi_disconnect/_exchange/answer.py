"""Sends a small response for the app when an exchange cannot go on (contract §2)."""

import contextlib
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from . import refusal
from .exchange import Exchange
from .reader import Reader

ANSWER_TIMEOUT: Final = 10.0
"""Seconds to send such a response: a client that does not read would hold it up for ever."""


async def answer(exchange: Exchange, status: int, *, read_on: bool) -> None:
    """Send a response with `status`; with `read_on`, read the request meanwhile and discard it."""
    http_version = exchange.scope.get("http_version", "1.1")
    with anyio.move_on_after(ANSWER_TIMEOUT):
        async with anyio.create_task_group() as tasks:
            if read_on:
                tasks.start_soon(_read_on, exchange)
            with contextlib.suppress(OSError):
                for message in refusal.messages(status, http_version):
                    await exchange.server_send(message)
            tasks.cancel_scope.cancel()


async def _read_on(exchange: Exchange) -> None:
    """Hypercorn does not end a response while its queue holds unread parts of the request."""
    while exchange.reader in (Reader.WATCHER_LATE, Reader.APP_INTERRUPTED):
        await exchange.get_watcher().wait_for_news()
    with contextlib.suppress(Exception):
        while (await exchange.server_receive()).get("type") != "http.disconnect":
            await checkpoint()

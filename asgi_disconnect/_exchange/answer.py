"""Sends a small response in the app's stead, where an exchange cannot go on (contract §2)."""

import contextlib
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from . import refusal
from .exchange import Exchange
from .reader import Reader

ANSWER_TIMEOUT: Final = 10.0
"""Seconds for a response of ours to leave: to a client that does not read, it never may."""


async def answer(exchange: Exchange, status: int, *, read_on: bool) -> None:
    """Send the response with `status`; with `read_on`, read meanwhile, for nobody."""
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
    """Hypercorn ends no response whose request is unread in its queue."""
    while exchange.reader is Reader.WATCHER_LATE:
        await exchange.get_watcher().wait_for_news()
    with contextlib.suppress(Exception):
        while (await exchange.server_receive()).get("type") != "http.disconnect":
            await checkpoint()

"""The frameworks: each module in here builds an app with the routes that the common tests need.

| route | what it does |
|---|---|
| GET /quick | answers JSON with a header of its own, at once |
| /slow | notes "started", works until cancelled; notes "finally", awaits something, "cleaned up" |
| GET /count | streams three pieces to the end |
| GET /stream | streams "tick" and then nothing, for ever; notes "finally" when it is stopped |
| POST /echo | answers with the body that it read |
| POST /late | notes "started", and echoes the body once it is allowed to "read" |
| GET /background | answers once allowed to "respond"; works on until allowed to "finish" |
| GET /polls | asks whether the client has gone until it has; notes "noticed" |
| GET /fails | raises `journal.failure` |
| WS /socket | echoes one text, and closes |
| WS /pushes | pushes "tick" and then nothing, for ever; notes as `/slow` does |
| WS /listens | notes what it is told; "told" that the client has gone; once allowed, "finished" |
| WS /catches-up | notes "started"; once allowed to "read", does what `/listens` does |

Its startup notes "startup" and leaves `scope["state"]["pool"]` where the framework knows how; its
shutdown notes "shutdown".
"""

import functools
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.compatibility import double_to_single_callable

from asgi_disconnect import DisconnectMiddleware

from ..journal import Journal

Wrap = Callable[..., Any]
"""Puts the middleware around an app, given as `app`: what a framework's own stack calls."""


@dataclass(frozen=True)
class Framework:
    """One way to have the middleware around an app."""

    name: str
    module: str
    needs: str | None = None
    """The package without which it is skipped."""
    variant: str = ""
    """Passed to the module's `build`, for modules that build several."""
    stacked: bool = False
    """The framework's own stack holds the middleware, instead of the middleware the framework."""
    backends: Sequence[str] = ("asyncio", "trio")
    listens: bool = False
    """The framework itself reads `receive` while a handler works, so that it is told."""
    polls: bool = True
    """It has something like Starlette's `request.is_disconnected()`, and that works."""
    background: bool = True
    """It has the route `/background` without having been started up."""
    task_group: bool = False
    """Handlers run in tasks of anyio's task groups, which cancel at every await."""

    def bare(self, journal: Journal) -> Any:
        """The app without the middleware, as a server that knows ASGI 3 alone can call it."""
        app = self._build(journal, None)
        return double_to_single_callable(app) if self.variant.startswith("double") else app

    def wrapped(self, journal: Journal, **options: Any) -> Any:
        """The app with the middleware around it or in it."""
        wrap = functools.partial(DisconnectMiddleware, **options)
        return self._build(journal, wrap) if self.stacked else wrap(app=self._build(journal, None))

    def _build(self, journal: Journal, wrap: Wrap | None) -> Any:
        if self.needs is not None:
            pytest.importorskip(self.needs)
        module = importlib.import_module("." + self.module, __package__)
        return module.build(journal, wrap, self.variant)


def _quart(name: str, **fields: Any) -> Framework:
    return Framework(name, "on_quart", listens=True, polls=False, **fields)


FRAMEWORKS = [
    # Its other shapes are in test_bare.
    Framework("bare", "on_bare", variant="function"),
    Framework("starlette", "on_starlette", "starlette"),
    Framework("starlette-stack", "on_starlette", "starlette", stacked=True),
    # BaseHTTPMiddleware's receive() has a checkpoint, so is_disconnected() never comes to True.
    Framework(
        "starlette-base",
        "on_starlette",
        "starlette",
        variant="base",
        polls=False,
        task_group=True,
    ),
    Framework(
        "starlette-stack-base",
        "on_starlette",
        "starlette",
        variant="base",
        stacked=True,
        polls=False,
        task_group=True,
    ),
    Framework("fastapi", "on_fastapi", "fastapi"),
    Framework("fastapi-stack", "on_fastapi", "fastapi", stacked=True),
    Framework("litestar", "on_litestar", "litestar", polls=False),
    Framework("litestar-stack", "on_litestar", "litestar", stacked=True, polls=False),
    # Quart is bound to asyncio; on trio it is another package, whose background tasks run in a
    # nursery that is there only after a startup.
    _quart("quart", needs="quart", backends=("asyncio",)),
    _quart("quart-stack", needs="quart", backends=("asyncio",), stacked=True),
    _quart("quart-trio", needs="quart_trio", backends=("trio",), variant="trio", background=False),
]

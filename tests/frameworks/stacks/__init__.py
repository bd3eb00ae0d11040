"""The stacks: the ways in which frameworks and users run the code that has to clean up.

What an abandoned request's cleanup comes to depends on the task that it runs in, which is not the
handler's to choose: `BaseHTTPMiddleware`, streaming responses and SSE libraries run the user's code
in children of anyio's task groups.  Each module in here builds the stacks of one framework, all
around the same `work.work()`.

They are for the tests in process and for those on real servers alike, so pytest is not needed here.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

When = Literal["never", "below 2.4", "always"]
"""For which versions of the specification: Starlette does not listen any more from 2.4 on."""


def holds(when: When, spec_version: str | None) -> bool:
    """Whether `when` is true where the server says that it keeps to `spec_version`."""
    if when == "below 2.4":
        return tuple(map(int, (spec_version or "2.0").split("."))) < (2, 4)
    return when == "always"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One way to run the user's code."""

    name: str
    module: str
    needs: str | None = None
    """The package without which it cannot be built."""
    method: str = "GET"
    listens: When = "never"
    """It reads `receive` while the user's code runs, so that it is told of the departure."""
    in_group: When = "never"
    """The user's code that cleans up runs in a child task of an anyio group of the app's."""
    streams: bool = False
    """The response has begun when the user's code waits."""
    background: bool = False
    """It has work to do after its stream: `work_afterwards`."""
    fills: bool = False
    """It streams as much as the server takes, and waits in `send`."""
    collected: bool = False
    """The cleanup is in a generator that stands at its `yield` and is left to be collected."""

    @property
    def body(self) -> bytes:
        """The body of a request to it."""
        return b"hello" if self.method == "POST" else b""

    @property
    def missing(self) -> bool:
        """What it is made of is not installed."""
        return self.needs is not None and find_spec(self.needs) is None

    @property
    def path(self) -> str:
        """The one route that it has."""
        return f"/{self.name}" if self.module == "on_django" else "/"

    def build(self) -> Any:
        """The app, unguarded."""
        builders: Mapping[str, Any] = importlib.import_module("." + self.module, __name__).STACKS
        return builders[self.name]()


STREAM: dict[str, Any] = {"streams": True, "listens": "below 2.4"}
LISTENING: dict[str, Any] = {"streams": True, "listens": "always", "in_group": "always"}


def _bare(name: str, in_group: When = "never") -> Stack:
    return Stack(name=name, module="on_nothing", in_group=in_group)


def _starlette(name: str, **fields: Any) -> Stack:
    return Stack(name=name, module="on_starlette", needs="starlette", **fields)


def _fastapi(name: str, **fields: Any) -> Stack:
    return Stack(name=name, module="on_fastapi", needs="fastapi", **fields)


def _sse_starlette(name: str, background: bool = False) -> Stack:
    return Stack(
        name=name,
        module="on_sse_starlette",
        needs="sse_starlette",
        background=background,
        **LISTENING,
    )


def _litestar(name: str, **fields: Any) -> Stack:
    return Stack(name=name, module="on_litestar", needs="litestar", **fields)


def _quart(name: str, **fields: Any) -> Stack:
    return Stack(name=name, module="on_quart", needs="quart", listens="always", **fields)


STACKS = [
    _bare("handler"),
    _bare("asyncio-group"),
    _bare("gather"),
    # The reference guard's scope reaches the helper too, whose end cancels the group.
    _bare("helped", in_group="always"),
    _bare("helped-by-one-that-cleans-up", in_group="always"),
    _bare("child", in_group="always"),
    _bare("three-children", in_group="always"),
    _starlette("base1", in_group="always"),
    _starlette("base2", in_group="always"),
    _starlette("base1-body", in_group="always", method="POST"),
    _starlette("base1-child", in_group="always"),
    _starlette("gzip-base1", in_group="always"),
    _starlette("stream", in_group="below 2.4", **STREAM),
    _starlette("stream-background", in_group="below 2.4", background=True, **STREAM),
    _starlette("base1-stream-background", in_group="always", background=True, **STREAM),
    _starlette("stream-in-send", in_group="below 2.4", fills=True, **STREAM),
    _starlette("stream-at-yield", fills=True, collected=True, **STREAM),
    _starlette("base1-stream", in_group="always", **STREAM),
    _starlette("base2-stream", in_group="always", **STREAM),
    _starlette("base1-stream-in-send", in_group="always", fills=True, **STREAM),
    _starlette("base2-stream-in-send", in_group="always", fills=True, **STREAM),
    _fastapi("fastapi"),
    _fastapi("fastapi-dependency"),
    _fastapi("fastapi-sse", in_group="always", **STREAM),
    _fastapi("fastapi-sse-background", in_group="always", background=True, **STREAM),
    _fastapi("fastapi-jsonl", in_group="below 2.4", **STREAM),
    _fastapi("fastapi-raw", in_group="below 2.4", **STREAM),
    _fastapi("fastapi-http-mw", in_group="always"),
    _fastapi("fastapi-dependency-http-mw", in_group="always"),
    _fastapi("fastapi-sse-http-mw", in_group="always", **STREAM),
    _fastapi("fastapi-sse-background-http-mw", in_group="always", background=True, **STREAM),
    _fastapi("fastapi-jsonl-http-mw", in_group="always", **STREAM),
    _fastapi("fastapi-raw-http-mw", in_group="always", **STREAM),
    _sse_starlette("sse-starlette"),
    _sse_starlette("base1-sse-starlette"),
    _sse_starlette("sse-starlette-background", background=True),
    _litestar("litestar"),
    _litestar("litestar-stream", **LISTENING),
    _litestar("litestar-stream-background", background=True, **LISTENING),
    _quart("quart"),
    _quart("quart-stream", streams=True),
]

DJANGO_STACKS = [
    Stack(name="django", module="on_django", needs="django", listens="always"),
    Stack(name="django-stream", module="on_django", needs="django", listens="always", streams=True),
]
"""For a process of their own, in which nothing else sets Django up."""

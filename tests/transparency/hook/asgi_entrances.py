"""Puts every ASGI application of this process inside `DisconnectMiddleware`.

Loaded at the start of every interpreter of a suite's environment, by a line of a `.pth` file, so
that the subprocesses that tests start are wrapped too.
Without TRANSPARENCY_OPTIONS it does nothing.

An application is entered in two kinds of places, and both are patched as soon as the module that
defines them has been loaded: where a test client takes an application (`CLIENTS`), and the
`__call__(self, scope, receive, send)` of the frameworks' own classes (`PACKAGES`), for tests that
call an application by hand.  Only the outermost entrance wraps, as a server's call would.
"""

import atexit
import functools
import importlib
import importlib.abc
import importlib.machinery
import inspect
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from types import ModuleType
from typing import Any

PACKAGES = {"asgiref", "django", "fastapi", "starlette"}

# module: (class whose instances take an application, the attribute they keep it in)
CLIENTS = {
    "asgiref.testing": ("ApplicationCommunicator", "application"),
    "httpx._transports.asgi": ("ASGITransport", "app"),
    "httpx2._transports.asgi": ("ASGITransport", "app"),
    "starlette.testclient": ("_TestClientTransport", "app"),
}

calls: "Counter[str]" = Counter()
inside: ContextVar[bool] = ContextVar("inside", default=False)


def wrapped(app: Any) -> Any:
    """`app` inside the middleware, unless what calls it is inside already."""
    from asgi_disconnect import DisconnectMiddleware

    middleware = DisconnectMiddleware(app, **json.loads(os.environ["TRANSPARENCY_OPTIONS"]))

    async def entrance(scope: Any, receive: Any, send: Any) -> Any:
        if inside.get():
            return await app(scope, receive, send)
        calls[str(scope.get("type"))] += 1
        token = inside.set(True)
        try:
            return await middleware(scope, receive, send)
        finally:
            with suppress(ValueError):  # closed in another context
                inside.reset(token)

    return entrance


def patch_client(cls: Any, attribute: str) -> None:
    original = cls.__init__

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        setattr(self, attribute, wrapped(getattr(self, attribute)))

    cls.__init__ = __init__


def patch_application(cls: Any) -> None:
    original = cls.__call__

    @functools.wraps(original)
    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> Any:
        app = functools.partial(original, self)
        return await (app if inside.get() else wrapped(app))(scope, receive, send)

    cls.__call__ = __call__


def is_application(value: Any, module: ModuleType) -> bool:
    # isinstance() would ask Django's lazy objects, which are not ready yet, for their class.
    if not issubclass(type(value), type) or value.__module__ != module.__name__:
        return False
    try:
        parameters = inspect.signature(vars(value)["__call__"]).parameters
    except (KeyError, TypeError, ValueError):
        return False
    return list(parameters) == ["self", "scope", "receive", "send"]


def patch(module: ModuleType) -> None:
    # Not at start-up, when pytest would find anyio imported before its plugin; nor at the first
    # call, inside an event loop, where tests forbid what blocks.
    importlib.import_module("asgi_disconnect")
    for value in list(vars(module).values()):
        if is_application(value, module):
            patch_application(value)
    if module.__name__ in CLIENTS:
        name, attribute = CLIENTS[module.__name__]
        patch_client(getattr(module, name), attribute)


class Finder(importlib.abc.MetaPathFinder):
    """Finds what the others find, and has it patched once it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in CLIENTS and name.partition(".")[0] not in PACKAGES:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None:
                break
        else:
            return None
        if isinstance(spec.loader, importlib.abc.Loader):
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                patch(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def write_calls(pid: int) -> None:
    if calls and os.getpid() == pid:  # not in a fork
        with open(os.environ["TRANSPARENCY_CALLS"], "a") as file:
            file.write(json.dumps(calls) + "\n")


if "TRANSPARENCY_OPTIONS" in os.environ:
    sys.meta_path.insert(0, Finder())
    atexit.register(write_calls, os.getpid())

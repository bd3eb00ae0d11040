"""Tells whose code it is: the app's, ours, the server's, or a library's that runs coroutines."""

import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import CodeType
from typing import Final

SERVERS: Final = ("uvicorn", "hypercorn", "daphne", "granian", "gunicorn")
RUNNERS: Final = (
    *("asyncio", "concurrent", "threading", "contextlib", "queue"),
    *("anyio", "trio", "outcome", "asgiref", "greenlet", "uvloop", "twisted"),
)

_PACKAGE: Final = Path(__file__).parent.parent
_COMMANDS: Final = (_PACKAGE / "_check", _PACKAGE / "_demo")


def is_the_middlewares(code: CodeType) -> bool:
    """Whether it is the middleware's own; the commands' apps and probes are not."""
    path = Path(code.co_filename)
    return path.is_relative_to(_PACKAGE) and not any(map(path.is_relative_to, _COMMANDS))


def is_a_servers(code: CodeType) -> bool:
    """Whether it is the server's own."""
    return _is_of(SERVERS, code)


def is_the_apps(code: CodeType) -> bool:
    """Whether it is the app's, or that of a library that does the app's work."""
    path = Path(code.co_filename)
    return not (path.is_relative_to(_PACKAGE) or _is_of((*SERVERS, *RUNNERS), code))


def is_of(name: str, code: CodeType) -> bool:
    """Whether it is of the module or package `name`."""
    return _is_of((name,), code)


def describe(code: CodeType, line: int | None, folder: str = "") -> str:
    """A line of a function, such as ``handler (main.py:12)``; `folder` is where the app is."""
    return f"{code.co_qualname} ({_short(Path(code.co_filename), folder)}:{line or 0})"


def _short(path: Path, folder: str) -> str:
    libraries = (sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib"))
    for root in (folder, *libraries):
        if root and path.is_relative_to(root):
            return str(path.relative_to(root))
    return str(path)


def _is_of(names: tuple[str, ...], code: CodeType) -> bool:
    path = Path(code.co_filename)
    return any(path.is_relative_to(root) for name in names for root in _roots(name))


@cache
def _roots(name: str) -> tuple[Path, ...]:
    """The folders of a package, or the file of a module."""
    spec = find_spec(name)
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(map(Path, spec.submodule_search_locations))
    return (Path(spec.origin),) if spec.origin else ()

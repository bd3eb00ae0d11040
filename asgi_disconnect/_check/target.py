"""Finds the app to check, and its layers."""

import contextlib
import functools
import importlib
import inspect
import io
import json
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

from .._application import as_single_callable
from .._middleware import DisconnectMiddleware

# Attributes in which middlewares keep the app that they wrap.
_INNER = ("app", "_app", "asgi_app", "application", "inner", "wrapped", "asgi")


class CannotLoad(Exception):
    """The app cannot be loaded; the message says why."""


@dataclass(frozen=True)
class Layer:
    """One of the callables that a request goes through."""

    name: str
    ours: bool = False
    base_http: bool = False
    """It is a `BaseHTTPMiddleware` of Starlette's, which hides disconnects or fails at them."""


@dataclass(frozen=True)
class Target:
    """What we know of the app before it is served."""

    layers: tuple[Layer, ...]
    """From the outside in, as far as they are visible."""

    @property
    def guarded(self) -> bool:
        """Whether it contains a `DisconnectMiddleware`."""
        return any(layer.ours for layer in self.layers)

    @property
    def outside(self) -> tuple[Layer, ...]:
        """The layers outside our middleware, if it is there."""
        if not self.guarded:
            return ()
        ours = next(number for number, layer in enumerate(self.layers) if layer.ours)
        return self.layers[:ours]


def load(where: str, folder: str, *, factory: bool = False) -> Any:
    """The app at ``MODULE:APP``; raises `CannotLoad` if it is not there."""
    module_name, _, path = where.partition(":")
    if not module_name or not path:
        raise CannotLoad(f"{where!r} does not say where the app is: MODULE:APP, such as main:app")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise CannotLoad(_while_importing(module_name)) from error
        raise CannotLoad(
            f"there is no module {error.name!r} in {folder} or installed: run this from its folder,"
            " or use --app-dir"
        ) from error
    except Exception as error:
        raise CannotLoad(_while_importing(module_name)) from error
    for name in path.split("."):
        if not hasattr(found, name):
            names = cast("dict[str, Any]", vars(found)) if hasattr(found, "__dict__") else {}
            others = [each for each, value in names.items() if _may_be_an_app(each, value)]
            known = f"; it has {', '.join(others)}" if others else ""
            raise CannotLoad(f"{module_name} has no {name!r}{known}")
        found = getattr(found, name)
    if factory:
        found = _make(where, found)
    if not callable(found):
        raise CannotLoad(f"{where} is not an ASGI application: {found!r} cannot be called")
    if not factory and _is_factory(found):
        raise CannotLoad(
            f"{where} does not take scope, receive and send; if it is a function that returns the"
            " app, use --factory"
        )
    return found


def _make(where: str, factory: Any) -> Any:
    if not callable(factory):
        raise CannotLoad(f"{where} cannot be called; if it is the app, leave out --factory")
    with contextlib.suppress(TypeError, ValueError):  # its signature cannot be read
        if not _takes_nothing(inspect.signature(factory)):
            raise CannotLoad(
                f"{where} cannot be called without arguments; if it is the app, leave out --factory"
            )
    try:
        return factory()
    except Exception as error:
        raise CannotLoad(f"{where} cannot be called:\n{traceback.format_exc()}") from error


def _takes_nothing(signature: inspect.Signature) -> bool:
    try:
        signature.bind()
    except TypeError:
        return False
    return True


def _is_factory(found: Any) -> bool:
    """Whether it is not an app, or works without arguments, which an ASGI 2 app does not."""
    try:
        as_single_callable(found)
    except TypeError:
        return True
    if not inspect.isfunction(found):
        return False
    signature = inspect.signature(found)
    return _takes_nothing(signature) and not inspect.iscoroutinefunction(found)


def _while_importing(module: str) -> str:
    return f"{module} cannot be imported:\n{traceback.format_exc()}"


def _may_be_an_app(name: str, value: object) -> bool:
    return callable(value) and not inspect.isclass(value) and name.startswith(("app", "asgi"))


def layers_of(app: Any) -> Iterator[Layer]:
    """The layers of `app`, from the outside in, as far as they are visible without calling it."""
    return (layer for layer, _ in stack_of(app))


def stack_of(app: Any) -> Iterator[tuple[Layer, type[Any] | None]]:
    """The layers, each with its class if it is an instance of one that can be called."""
    seen: set[int] = set()
    while callable(app) and id(app) not in seen:
        seen.add(id(app))
        if isinstance(app, functools.partial):
            app = app.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            continue
        stacked: Any = getattr(app, "user_middleware", None) or getattr(app, "middleware", None)
        if isinstance(stacked, (list, tuple)):  # Starlette and FastAPI; Litestar
            yield from map(_stacked, cast("list[Any]", stacked))
            yield Layer(_name(app)), None  # it is called before them
            return
        yield _layer(app), _class_of(app)
        app = _inner(app)


def _inner(app: Any) -> Any:
    own: dict[str, Any] = getattr(app, "__dict__", {})
    for name in _INNER:
        if callable(own.get(name)):
            return own[name]
    code: Any = getattr(app, "__code__", None)
    if code is not None and app.__closure__:
        held = dict(zip(code.co_freevars, app.__closure__, strict=True))
        for name in _INNER:
            with contextlib.suppress(KeyError, ValueError):
                return held[name].cell_contents
    return None


def _stacked(entry: Any) -> tuple[Layer, type[Any] | None]:
    """One entry of a framework's list of middlewares."""
    options: dict[str, Any] = getattr(entry, "kwargs", {})
    entry = getattr(entry, "cls", None) or getattr(entry, "middleware", None) or entry
    layer = _layer(entry, options.get("dispatch"))
    return layer, entry if inspect.isclass(entry) else None


def _class_of(app: Any) -> type[Any] | None:
    """The class to trace.  Plain functions have none, because they all share one."""
    its_class: type[Any] | None = None if inspect.isroutine(app) else app.__class__
    return its_class


def _layer(what: Any, dispatch: Any = None) -> Layer:
    found = cast("type[Any]", what if inspect.isclass(what) else type(what))
    dispatch = dispatch or getattr(what, "dispatch_func", None)
    base_http = any(each.__name__ == "BaseHTTPMiddleware" for each in found.__mro__)
    name = _name(what)
    if base_http and dispatch is not None and getattr(dispatch, "__self__", None) is not what:
        name += f" ({_name(dispatch)})"
    return Layer(name, ours=issubclass(found, DisconnectMiddleware), base_http=base_http)


def _name(what: Any) -> str:
    if not (inspect.isclass(what) or inspect.isroutine(what)):
        return _name(type(what))
    return f"{what.__module__}.{what.__qualname__}"


def main(arguments: list[str]) -> int:
    """Print what `check` must know of an app, or why it cannot be loaded, as JSON."""
    where, folder, factory = arguments
    told: dict[str, Any]
    # Drop what the app prints when it is imported.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            app = load(where, folder, factory=factory == "factory")
            told = {"layers": [asdict(layer) for layer in layers_of(app)]}
        except CannotLoad as error:
            told = {"error": str(error)}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

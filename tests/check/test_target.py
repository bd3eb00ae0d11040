"""`check` finds the app, or says why not; and it sees what the app is stacked of."""

import functools
import sys
from pathlib import Path
from typing import Any

import pytest

from asgi_disconnect import DisconnectMiddleware
from asgi_disconnect._check.target import CannotLoad, Target, layers_of, load

MODULE = """
class Things:
    async def app(self, scope, receive, send): ...
things = Things()
def app(scope, receive, send): ...
def make(): return app
def make_wrong(): raise RuntimeError("no settings")
def make_with_settings(settings=None): return app
def double(scope): return app
class Double:
    def __init__(self, scope): ...
    async def __call__(self, receive, send): ...
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "checked_module.py").write_text(MODULE)
    (tmp_path / "broken_module.py").write_text("import no_such_library\n")
    (tmp_path / "wrong_module.py").write_text("1 / 0\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("checked_module", "broken_module", "wrong_module"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return str(tmp_path)


def test_an_app_is_found_in_a_folder(folder: str) -> None:
    assert callable(load("checked_module:app", folder))
    assert callable(load("checked_module:things.app", folder))
    made = load("checked_module:make", folder, factory=True)
    assert made is load("checked_module:app", folder)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("checked_module", "does not say where the app is: MODULE:APP"),
        ("nothing:app", r"there is no module 'nothing' in .* --app-dir"),
        ("checked_module:application", r"has no 'application'; it has app$"),
        ("checked_module:number", "3 cannot be called"),
        ("broken_module:app", r"broken_module cannot be imported:(?s:.*)no_such_library"),
        ("wrong_module:app", r"cannot be imported:(?s:.*)ZeroDivisionError"),
    ],
)
def test_what_is_wrong_is_said(folder: str, where: str, said: str) -> None:
    with pytest.raises(CannotLoad, match=said):
        load(where, folder)


@pytest.mark.parametrize("name", ["make", "make_with_settings"])
def test_a_factory_is_not_taken_for_an_app(folder: str, name: str) -> None:
    with pytest.raises(CannotLoad, match=r"^checked_module:.*use --factory$"):
        load(f"checked_module:{name}", folder)


def test_an_app_is_not_taken_for_a_factory(folder: str) -> None:
    with pytest.raises(CannotLoad, match=r"leave out --factory$"):
        load("checked_module:app", folder, factory=True)


@pytest.mark.parametrize("name", ["double", "Double"])
def test_an_asgi_2_application_is_no_factory(folder: str, name: str) -> None:
    assert callable(load(f"checked_module:{name}", folder))


def test_a_factory_that_fails_is_shown(folder: str) -> None:
    with pytest.raises(CannotLoad, match=r"cannot be called:(?s:.*)no settings"):
        load("checked_module:make_wrong", folder, factory=True)


async def bare(scope: Any, receive: Any, send: Any) -> None: ...


class Wrapper:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


def closed_over(app: Any) -> Any:
    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return wrapper


def names(app: Any) -> list[str]:
    return [layer.name.rpartition(".")[2] for layer in layers_of(app)]


def target(app: Any) -> Target:
    return Target(tuple(layers_of(app)))


def test_plain_wrappers_closures_and_partials_are_seen_through() -> None:
    app = functools.partial(Wrapper(closed_over(DisconnectMiddleware(bare))))
    assert names(app) == ["Wrapper", "wrapper", "DisconnectMiddleware", "bare"]
    assert [layer.name.rpartition(".")[2] for layer in target(app).outside] == [
        "Wrapper",
        "wrapper",
    ]


def test_an_app_without_ours_has_nothing_outside_it() -> None:
    assert not target(Wrapper(bare)).guarded
    assert target(Wrapper(bare)).outside == ()


def test_an_app_that_wraps_itself_is_looked_at_once() -> None:
    endless = Wrapper(bare)
    endless.app = endless
    assert names(endless) == ["Wrapper"]


def test_starlette_and_its_base_http_middleware() -> None:
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware

    async def timing(request: Any, call_next: Any) -> Any: ...

    class Subclass(BaseHTTPMiddleware): ...

    app = Starlette(
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=timing),
            Middleware(DisconnectMiddleware),
            Middleware(Subclass),
        ]
    )
    seen = target(Wrapper(app))
    assert [layer.base_http for layer in seen.layers] == [False, True, False, True, False]
    assert [layer.ours for layer in seen.layers] == [False, False, True, False, False]
    assert seen.layers[1].name.endswith("BaseHTTPMiddleware (" + _full_name(timing) + ")")
    assert seen.layers[3].name == _full_name(Subclass)


def _full_name(what: Any) -> str:
    return f"{what.__module__}.{what.__qualname__}"


def test_fastapi_s_decorated_middleware_has_its_function_s_name() -> None:
    pytest.importorskip("fastapi")
    from fastapi import FastAPI

    app = FastAPI()
    app.add_middleware(DisconnectMiddleware)

    @app.middleware("http")
    async def add_header(request: Any, call_next: Any) -> Any: ...

    (outside,) = target(app).outside
    assert outside.base_http
    assert outside.name.endswith("add_header)")


def test_quart_and_litestar() -> None:
    quart = pytest.importorskip("quart")
    litestar = pytest.importorskip("litestar")
    app = quart.Quart("quart_app")
    app.asgi_app = DisconnectMiddleware(app.asgi_app)
    assert target(app).guarded
    assert target(litestar.Litestar(middleware=[DisconnectMiddleware])).guarded
    assert target(DisconnectMiddleware(litestar.Litestar())).outside == ()

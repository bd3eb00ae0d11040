"""What a page's blocks find when they are run: an application, and modules of their own names."""

import logging
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest

from .pages import ROOT, Block, pages

if not (ROOT / "docs").is_dir():
    collect_ignore_glob = ["*.py"]

PAGES = pages()
INDEPENDENT = (
    *("docs/quick-start.md", "docs/guides/choosing.md", "docs/guides/monitoring.md"),
    *("docs/guides/testing.md", "docs/guides/websockets.md", "docs/frameworks/mcp.md"),
)
"""Pages whose blocks are alternatives: one may be left out where its framework is not installed."""

Run = Callable[[str], dict[str, Any]]
Paste = Callable[[str], list[tuple[Block, dict[str, Any]]]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """What the reader has already."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """See to what a page's blocks need, and skip the page where it is not there."""
    monkeypatch.syspath_prepend(str(ROOT))  # for `examples`
    clean_up: list[Callable[[], None]] = []

    def prepare(page: str) -> None:
        code = "".join(block.code for block in PAGES[page])
        if page not in INDEPENDENT:
            for module in {missing for block in PAGES[page] for missing in block.missing}:
                pytest.skip(f"{module} is not installed")
        if "django" in code and find_spec("django"):
            _set_django_up()
        if "litestar" in code and find_spec("litestar"):
            from litestar.logging.config import LoggingConfig

            # It would put its own handlers in the place of pytest's, for all tests to come.
            monkeypatch.setattr(LoggingConfig, "configure", lambda self: logging.getLogger)
        if "prometheus" in code:
            clean_up.append(_own_prometheus_registry())

    yield prepare
    for function in clean_up:
        function()


@pytest.fixture
def run_page(prepare: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run all blocks of a page, one after the other, and return the names that they leave."""

    def run(page: str) -> dict[str, Any]:
        prepare(page)
        module = ModuleType("page")
        monkeypatch.setitem(sys.modules, "page", module)  # Litestar looks for it there
        names = vars(module)
        names["app"] = app
        for block in PAGES[page]:
            if block.module:
                monkeypatch.setitem(sys.modules, block.module, module)
            if not block.missing:
                block.run(names)
        return names

    return run


@pytest.fixture
def paste(prepare: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> Paste:
    """Run each block of a page as a file of its own, and return the names of each.

    It may import the files that the page has shown before, by their titles, and nothing else of
    the page's.
    """

    def paste(page: str) -> list[tuple[Block, dict[str, Any]]]:
        prepare(page)
        pasted = []
        for block in PAGES[page]:
            if block.missing:
                continue
            module = ModuleType(block.module or "page")
            monkeypatch.setitem(sys.modules, module.__name__, module)
            names = vars(module)
            names["app"] = app
            clean_up = _own_prometheus_registry()
            block.run(names)
            clean_up()  # the next one is another program
            pasted.append((block, names))
        return pasted

    return paste


def _set_django_up() -> None:
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["*"],
            LOGGING_CONFIG=None,
            ROOT_URLCONF=__name__,
            SECRET_KEY="for tests only",
        )


urlpatterns: list[Any] = []


def _own_prometheus_registry() -> Callable[[], None]:
    """Return what takes the metrics out again that a page has registered."""
    if not find_spec("prometheus_client"):
        return lambda: None
    import prometheus_client as prometheus

    known = set(prometheus.REGISTRY._collector_to_names)

    def clean_up() -> None:
        for collector in set(prometheus.REGISTRY._collector_to_names) - known:
            prometheus.REGISTRY.unregister(collector)

    return clean_up

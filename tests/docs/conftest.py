"""What a page's blocks find when they are run: an application, and modules of their own names."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from .pages import ROOT, pages

if not (ROOT / "docs").is_dir():
    collect_ignore_glob = ["*.py"]

PAGES = pages()

Run = Callable[[str], dict[str, Any]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """What the reader has already."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture
def run_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run all blocks of a page, one after the other, and return the names that they leave."""
    monkeypatch.syspath_prepend(str(ROOT))  # for `examples`
    clean_up: list[Callable[[], None]] = []

    def run(page: str) -> dict[str, Any]:
        if "django" in page or any("django" in block.code for block in PAGES[page]):
            _set_django_up()
        if any("prometheus" in block.code for block in PAGES[page]):
            clean_up.append(_own_prometheus_registry())
        module = ModuleType("page")
        monkeypatch.setitem(sys.modules, "page", module)  # Litestar looks for it there
        names = vars(module)
        names["app"] = app
        for block in PAGES[page]:
            if block.included is None:
                block.run(names)
        return names

    yield run
    for function in clean_up:
        function()


def _set_django_up() -> None:
    pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for tests only", ROOT_URLCONF=__name__)


urlpatterns: list[Any] = []


def _own_prometheus_registry() -> Callable[[], None]:
    """Return what takes the metrics out again that a page has registered."""
    prometheus = pytest.importorskip("prometheus_client")
    known = set(prometheus.REGISTRY._collector_to_names)

    def clean_up() -> None:
        for collector in set(prometheus.REGISTRY._collector_to_names) - known:
            prometheus.REGISTRY.unregister(collector)

    return clean_up

"""Contract §7: the hooks know the template of a Django view's route."""

from collections.abc import Iterator
from typing import Any

import django_app
import pytest
from django.urls import include, path, re_path, set_urlconf

from asgi_disconnect.instrumentation._routes import route_of

assert django_app.VERSION  # Django is set up


def view(request: Any, **_: Any) -> None:
    """What is never called."""


urlpatterns = [
    path("shops/<slug:shop>/", include([path("items/<int:number>", view)])),
    re_path(r"^old/(?P<number>\d+)$", view),
]


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    set_urlconf(__name__)
    yield
    set_urlconf(None)


@pytest.mark.parametrize(
    ("path", "root_path", "template"),
    [
        ("/shops/acme/items/17", "", "/shops/<slug:shop>/items/<int:number>"),
        ("/behind/shops/acme/items/17", "/behind", "/shops/<slug:shop>/items/<int:number>"),
        ("/old/17", "", r"/^old/(?P<number>\d+)$"),
        ("/nowhere", "", None),
        ("/shops/acme/items/seventeen", "", None),
    ],
)
def test_the_template_is_told(path: str, root_path: str, template: str | None) -> None:
    assert route_of({"type": "http", "path": path, "root_path": root_path}) == template


def test_other_frameworks_beside_django_are_not_asked_of_it() -> None:
    scope = {"type": "http", "path": "/shops/acme/items/17", "app": object()}
    assert route_of(scope) is None

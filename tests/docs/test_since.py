"""What is public says since which version it is there."""

import inspect
import re
from importlib import import_module
from typing import Any

import pytest

from .pages import OPTIONAL

MODULES = {
    "asgi_disconnect": None,
    "asgi_disconnect.deadlines": None,
    "asgi_disconnect.testing": None,
    "asgi_disconnect.instrumentation.errors": ("error_of", "name_of"),
    "asgi_disconnect.instrumentation.logging": ("LoggingHook",),
    "asgi_disconnect.instrumentation.opentelemetry": ("OpenTelemetryHook",),
    "asgi_disconnect.instrumentation.prometheus": ("PrometheusHook",),
}
NEW_IN_0_2 = {
    "Disconnect": ("cause", "remaining"),
    "Client": ("pass_deadline", "see_to_end"),
    "BlockingClient": ("pass_deadline",),
}
"""Of classes that are older."""


def public(module: str) -> dict[str, Any]:
    if module in OPTIONAL:
        pytest.importorskip(OPTIONAL[module])
    found = import_module(module)
    names = MODULES[module] or found.__all__
    return {name: getattr(found, name) for name in names}


@pytest.mark.parametrize("module", MODULES)
def test_each_public_class_and_function_says_since_when(module: str) -> None:
    for name, thing in public(module).items():
        if inspect.isclass(thing) or inspect.isfunction(thing):
            description = re.split(":param|:raises", inspect.getdoc(thing) or "")[0]
            assert re.search(r"Since 0\.\d\.$", description.strip()), name


@pytest.mark.parametrize("module", MODULES)
def test_what_is_newer_than_its_class_says_so(module: str) -> None:
    for name, thing in public(module).items():
        for member in NEW_IN_0_2.get(name, ()):
            assert "Since 0.2." in (inspect.getdoc(getattr(thing, member)) or ""), (name, member)

"""The tests that "Testing" shows pass, and fail without the middleware."""

import functools
import inspect
import unittest
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from asgi_disconnect.testing import exchange, websocket_exchange

from .conftest import Run

PAGE = "docs/guides/testing.md"

pytestmark = pytest.mark.anyio


def shown_tests(names: dict[str, Any]) -> list[Callable[..., Any]]:
    return [value for name, value in names.items() if name.startswith("test_")]


async def call(test: Callable[..., Any]) -> None:
    fixtures = {"asgi_exchange": exchange, "asgi_websocket_exchange": websocket_exchange}
    result = test(**{name: fixtures[name] for name in inspect.signature(test).parameters})
    if inspect.isawaitable(result):
        await result


async def test_the_tests_that_it_shows_pass(run_page: Run) -> None:
    tests = shown_tests(run_page(PAGE))
    assert len(tests) == (8 if find_spec("fastapi") else 7)
    for test in tests:
        await call(test)


async def test_the_tests_that_it_shows_fail_without_the_middleware(
    run_page: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run_page(PAGE)
    monkeypatch.setitem(names, "app", names["book"])
    monkeypatch.setitem(names, "prices", names["push_prices"])
    monkeypatch.setitem(names, "guarded", names.get("shop"))
    for kind in (exchange, websocket_exchange):
        monkeypatch.setitem(names, kind.__name__, functools.partial(kind, patience=0.1))
    for test in shown_tests(names):
        if not inspect.signature(test).parameters:
            with pytest.raises(AssertionError):
                await call(test)
            names["Seats"].free = 1
            names["Subscribers"].count = 0


def test_the_test_case_of_django_that_it_shows_passes(run_page: Run) -> None:
    django = pytest.importorskip("django")
    if django.VERSION < (5, 0):
        pytest.skip("Django 4.2 is cancelled, not told")
    names = run_page(PAGE)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(names["BookingTests"]).run(result)
    assert result.testsRun == 1
    assert result.wasSuccessful(), result.failures + result.errors

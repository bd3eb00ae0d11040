"""What every test runs on."""

from typing import Any
from weakref import WeakKeyDictionary

import pytest

from asgi_disconnect._guards import records, try_out

from .backends import BACKENDS
from .skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

_HIDDEN: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def cleanup_in_groups_finishes() -> bool:
    """Whether the guard that serves on asyncio can see to that (contract §4.4)."""
    return records._task_states is not _HIDDEN and try_out.can_spare_groups()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--reference",
        action="store_true",
        help="hide anyio's records, so that the reference guard serves on asyncio",
    )
    parser.addoption(
        "--complete",
        action="store_true",
        help="fail where a test is skipped for a reason that is not in tests/skips.py",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "fast_guard: needs what only the fast guard can do, on anyio 4.14 and later"
    )
    if config.getoption("--reference"):
        records._task_states = _HIDDEN


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--reference"):
        reason = "the reference guard cannot"
    elif not try_out.can_spare_groups():
        reason = "anyio below 4.14 has no scope around each task of a group"
    else:
        return
    for item in items:
        if item.get_closest_marker("fast_guard"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The back ends: a test marked `anyio` runs on each."""
    return request.param

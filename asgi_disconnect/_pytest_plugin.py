"""The pytest plugin: two fixtures that play each server in turn.

pytest imports this in every run once the package is installed, so it imports nothing else before
a test uses a fixture.
"""

import functools
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .testing import Played, PlayedWebSocket

OPTION = "--asgi-server"
SERVERS = ("uvicorn", "hypercorn", "daphne", "granian")
FIXTURES = ("asgi_exchange", "asgi_websocket_exchange")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses the servers."""
    parser.getgroup("asgi_disconnect").addoption(
        OPTION,
        action="append",
        choices=("uvicorn", "hypercorn", "hypercorn-h2", "daphne", "granian", "gunicorn"),
        help="play this server to tests that use asgi_exchange or asgi_websocket_exchange;"
        f" repeatable (default: {', '.join(SERVERS)})",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses one of our fixtures once for each server."""
    used = [fixture for fixture in FIXTURES if fixture in metafunc.fixturenames]
    for fixture in used:
        servers: Any = metafunc.config.getoption(OPTION) or SERVERS
        metafunc.parametrize(fixture, servers, indirect=True)
    if used and _runs_on_anyios_own_choice(metafunc):
        # anyio chooses every back end that is installed.  trio often is, because something else
        # needs it, but few apps run on it.  This is a mark, because pytest gives marks precedence.
        only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
        metafunc.definition.add_marker(only_asyncio)


def _runs_on_anyios_own_choice(metafunc: pytest.Metafunc) -> bool:
    """Whether neither a mark nor the user's own `anyio_backend` fixture chooses the back end."""
    if any(
        "anyio_backend" in str(mark.args[:1] or mark.kwargs.get("argnames"))
        for mark in metafunc.definition.iter_markers("parametrize")
    ):
        return False
    fixtures: Any = getattr(metafunc, "_arg2fixturedefs", {}).get("anyio_backend", ())
    return [fixture.func.__module__ for fixture in fixtures] == ["anyio.pytest_plugin"]


@pytest.fixture
def asgi_exchange(request: pytest.FixtureRequest) -> "Callable[..., Played]":
    """`asgi_disconnect.testing.exchange`, played as each server in turn."""
    from .testing import exchange

    return functools.partial(exchange, server=request.param)


@pytest.fixture
def asgi_websocket_exchange(request: pytest.FixtureRequest) -> "Callable[..., PlayedWebSocket]":
    """`asgi_disconnect.testing.websocket_exchange`, played as each server in turn."""
    from .testing import websocket_exchange

    return functools.partial(websocket_exchange, server=request.param)

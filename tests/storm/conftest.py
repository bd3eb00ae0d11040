"""How large the storms are: small in `nox -s tests`, large in `nox -s storm`."""

import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("storm")
    group.addoption("--in-process", type=int, metavar="N", help="requests in process, in all")
    group.addoption("--each-server", type=int, metavar="N", help="requests to each real server")
    group.addoption("--websockets", type=int, metavar="N", help="WebSockets in process, in all")
    group.addoption(
        "--websockets-each", type=int, metavar="N", help="WebSockets to each real server"
    )
    group.addoption("--seed", type=int, metavar="N", help="repeat the storm of this seed")


@pytest.fixture(scope="session")
def in_process(request: pytest.FixtureRequest) -> int:
    """How many requests are made in process, over all the frameworks."""
    # The options are not known where this folder was not named on the command line.
    return int(request.config.getoption("--in-process", None) or 2_500)


@pytest.fixture(scope="session")
def each_server(request: pytest.FixtureRequest) -> int:
    """How many requests are made to each real server."""
    return int(request.config.getoption("--each-server", None) or 150)


@pytest.fixture(scope="session")
def websockets(request: pytest.FixtureRequest) -> int:
    """How many WebSockets are opened in process, over all the frameworks."""
    return int(request.config.getoption("--websockets", None) or 1_000)


@pytest.fixture(scope="session")
def websockets_each(request: pytest.FixtureRequest) -> int:
    """How many WebSockets are opened to each real server."""
    return int(request.config.getoption("--websockets-each", None) or 60)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """What the storm is drawn from; said by a test that fails."""
    chosen = request.config.getoption("--seed", None)
    return random.randrange(1 << 32) if chosen is None else int(chosen)

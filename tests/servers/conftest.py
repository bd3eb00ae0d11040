"""`server`: each of the nine configurations, started once for all the tests."""

from collections.abc import Callable, Iterator

import pytest

from .configurations import CONFIGURATIONS, Configuration
from .running import RunningServer

Start = Callable[..., RunningServer]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on each server, or on the module's `SERVERS`.

    With `way`, it runs once for each way to leave that there is on that server.
    """
    servers = getattr(metafunc.module, "SERVERS", CONFIGURATIONS)
    if "way" in metafunc.fixturenames:
        metafunc.parametrize(
            ("configuration", "way"),
            [
                pytest.param(each, way, id=f"{each.name}-{way}")
                for each in servers
                for way in each.ways
            ],
        )
    elif "configuration" in metafunc.fixturenames:
        metafunc.parametrize("configuration", servers, ids=lambda each: each.name)


@pytest.fixture(scope="session")
def _running() -> Iterator[dict[str, RunningServer]]:
    running: dict[str, RunningServer] = {}
    yield running
    # What a server says while it stops is its own affair: some bare apps still run, on purpose.
    complaints = {name: server.complaints() for name, server in running.items()}
    for server in running.values():
        server.terminate()
    for server in running.values():
        server.stop(patience=2)
    assert not any(complaints.values()), complaints


@pytest.fixture
def server(
    _running: dict[str, RunningServer], configuration: Configuration
) -> Iterator[RunningServer]:
    """A server that runs already; a test that makes it or us complain fails."""
    _skip_if_missing(configuration)
    if configuration.name not in _running:
        _running[configuration.name] = RunningServer(configuration)
        _running[configuration.name].wait_until_up()
    server = _running[configuration.name]
    server.complaints_expected = False
    yield server
    if server.complaints_expected:
        server.watching_has_begun()  # so that they are not taken for the next test's
    server.close_clients()
    complaints = server.complaints()
    assert server.complaints_expected or not complaints, complaints


@pytest.fixture
def start_server() -> Iterator[Start]:
    """Starts a server for one test, with more options; its log is the test's affair."""
    started: list[RunningServer] = []

    def start(configuration: Configuration, *options: str) -> RunningServer:
        _skip_if_missing(configuration)
        started.append(RunningServer(configuration, *options))
        started[-1].wait_until_up()
        return started[-1]

    yield start
    for server in started:
        server.stop(patience=1)


def _skip_if_missing(configuration: Configuration) -> None:
    if configuration.missing:
        pytest.skip(f"not installed: {', '.join(configuration.missing)}")

"""`proxy`: each configuration of each proxy in front of uvicorn and granian, one process each."""

from collections.abc import Callable, Iterator

import pytest

from ..servers.configurations import CONFIGURATIONS, Configuration
from ..servers.running import RunningServer
from ..servers.tls import Certificate, make_certificate
from .configurations import HTTP2_WAYS, PROXIES, WAYS, Proxy
from .running import RunningProxy

SERVERS = [each for each in CONFIGURATIONS if each.name in ("uvicorn-uvloop", "granian")]

Start = Callable[[Proxy], RunningProxy]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs behind each proxy, and with `way` once for each way to leave it.

    A module with `OVER_HTTP2` runs behind those that speak that.
    """
    names = metafunc.fixturenames
    if "proxy" not in names:
        return
    over_http2 = getattr(metafunc.module, "OVER_HTTP2", False)
    proxies = [each for each in PROXIES if each.http2 or not over_http2]
    if "way" in names:
        ways = HTTP2_WAYS if over_http2 else WAYS
        cases = [(each, way) for each in proxies for way in ways if way not in each.undecided]
        ids = [f"{each.name}-{way}" for each, way in cases]
        metafunc.parametrize(
            ("_proxy", "way"), cases, ids=ids, indirect=["_proxy"], scope="session"
        )
    else:
        metafunc.parametrize(
            "_proxy", proxies, ids=lambda each: each.name, indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session", params=SERVERS, ids=lambda each: each.name)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server, for all the tests."""
    configuration: Configuration = request.param
    if configuration.missing:
        pytest.skip(f"not installed: {', '.join(configuration.missing)}")
    server = RunningServer(configuration)
    server.wait_until_up()
    yield server
    complaints = server.complaints()
    server.stop(patience=2)
    assert not complaints, complaints


@pytest.fixture(scope="session")
def start_proxy(
    server: RunningServer, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Starts a proxy in front of the server."""
    started: list[RunningProxy] = []

    def start(proxy: Proxy) -> RunningProxy:
        if proxy.path is None:
            pytest.skip(f"not installed: {proxy.program} (Debian: apt-get install {proxy.package})")
        folder = tmp_path_factory.mktemp(proxy.name)
        started.append(RunningProxy(proxy, server, folder, certificate))
        started[-1].wait_until_up()
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture(scope="session")
def _proxy(request: pytest.FixtureRequest, start_proxy: Start) -> RunningProxy:
    return start_proxy(request.param)


@pytest.fixture
def proxy(_proxy: RunningProxy) -> Iterator[RunningProxy]:
    """A proxy that runs already."""
    yield _proxy
    _proxy.close_clients()
    _proxy.server.close_clients()

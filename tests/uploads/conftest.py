"""`server`: each of the nine configurations, started once, serving `served/uploading.py`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..servers.configurations import CONFIGURATIONS, Configuration
from ..servers.running import RunningServer
from .sending import MIB, Upload, serving_uploads


@pytest.fixture(scope="session")
def _running() -> Iterator[dict[str, RunningServer]]:
    running: dict[str, RunningServer] = {}
    served = str(Path(__file__).parent / "served")
    with pytest.MonkeyPatch.context() as patch:
        path = [served, os.environ.get("PYTHONPATH")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
        yield running
    for server in running.values():
        server.terminate()
    for server in running.values():
        server.stop(patience=5)


def warm_up(server: RunningServer) -> None:
    """The first requests make threads and import what stays, which is not to count for the next."""
    for handler in ("late", "reading"):
        upload = Upload(server, handler, 4 * MIB)
        upload.send()
        server.open_gate(upload.key)
        assert upload.client.response().status == 200
    server.close_clients()


@pytest.fixture(params=CONFIGURATIONS, ids=lambda each: each.name)
def configuration(request: pytest.FixtureRequest) -> Configuration:
    found: Configuration = request.param
    if found.missing:
        pytest.skip(f"not installed: {', '.join(found.missing)}")
    return found


@pytest.fixture
def server(
    _running: dict[str, RunningServer], configuration: Configuration
) -> Iterator[RunningServer]:
    """A server that runs already; a test that makes it or us complain fails."""
    if configuration.name not in _running:
        _running[configuration.name] = RunningServer(serving_uploads(configuration))
        _running[configuration.name].wait_until_up()
        warm_up(_running[configuration.name])
    server = _running[configuration.name]
    server.complaints_expected = False
    yield server
    server.close_clients()
    complaints = server.complaints()
    assert server.complaints_expected or not complaints, complaints

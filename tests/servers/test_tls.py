"""TLS straight at the server, without a proxy: however a client ends it, the app's work stops.

The servers are told by different layers: close_notify by TLS, FIN and RST by TCP below it.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from .configurations import CONFIGURATIONS, Configuration
from .running import RunningServer
from .tls import Certificate, make_certificate

OPTIONS = {
    "uvicorn": ("--ssl-certfile", "{certificate}", "--ssl-keyfile", "{key}"),
    "hypercorn": ("--certfile", "{certificate}", "--keyfile", "{key}"),
    "daphne": ("-e", "ssl:{{port}}:interface=127.0.0.1:certKey={certificate}:privateKey={key}"),
    "granian": ("--ssl-certificate", "{certificate}", "--ssl-keyfile", "{key}"),
    "gunicorn": ("--certfile", "{certificate}", "--keyfile", "{key}"),
}
ENDINGS = ("close-notify", "close-notify-fin", "fin", "rst")
CANCELLED = ["working", "cancelled", "cleaned up", "returned"]


def with_tls(configuration: Configuration, files: Certificate) -> Configuration:
    """The same server on a port that speaks TLS."""
    command = configuration.command
    module = command[0]
    if module == "daphne":  # its -b and -p stand for a port without TLS
        command = (module, command[-1])
    options = (
        option.format(certificate=files.certificate, key=files.key) for option in OPTIONS[module]
    )
    return replace(configuration, command=(*command, *options))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=CONFIGURATIONS, ids=lambda each: each.name)
def tls_server(request: pytest.FixtureRequest, certificate: Certificate) -> Iterator[RunningServer]:
    """Each server, one after the other."""
    configuration: Configuration = request.param
    if configuration.missing:
        pytest.skip(f"not installed: {', '.join(configuration.missing)}")
    server = RunningServer(with_tls(configuration, certificate), tls=certificate)
    server.wait_until_up()
    yield server
    complaints = server.complaints()
    server.stop(patience=2)
    assert not complaints, complaints


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_handler_that_waits_is_cancelled(tls_server: RunningServer, ending: str) -> None:
    key, client = tls_server.new_key(), tls_server.connect()
    client.request(f"/guarded/slow/{key}", body=b"hello")
    tls_server.wait(key, "working")
    client.leave(ending)
    assert tls_server.end(key) == ["called", "read 5", *CANCELLED]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_stream_is_cancelled(tls_server: RunningServer, ending: str) -> None:
    key, client = tls_server.new_key(), tls_server.connect()
    client.request(f"/guarded/stream/{key}", method="GET")
    assert client.begin_response(5) == b"first"
    tls_server.wait(key, "working")
    client.leave(ending)
    assert tls_server.end(key) == ["called", "read 0", *CANCELLED]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_app_is_told_when_its_client_leaves_in_mid_upload(
    tls_server: RunningServer, ending: str
) -> None:
    if not tls_server.configuration.calls_on_partial_upload:
        pytest.skip("the app is called when the body is complete")
    key, client = tls_server.new_key(), tls_server.connect()
    client.request(f"/guarded/upload/{key}", body=b"hel", length=5)
    # Not before: hypercorn ends an HTTP/2 connection by a KeyError, and with it the app's task, if
    # TLS has been closed when it comes to a piece of a body.
    tls_server.wait(key, "read a piece")
    client.leave(ending)
    assert tls_server.end(key) == ["called", "read a piece", "told", "returned"]


def test_a_client_that_stays_has_its_response(tls_server: RunningServer) -> None:
    key, client = tls_server.new_key(), tls_server.connect()
    client.request(f"/guarded/slow/{key}", body=b"hello")
    tls_server.watching_has_begun()
    tls_server.open_gate(key)
    assert client.response().body == b"done"
    assert "cancelled" not in tls_server.end(key)

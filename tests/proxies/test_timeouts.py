"""What changes with the middleware: a proxy that gives up on a request ends its work.

Proxies close the connection to the app as they answer 504.  Without the middleware the app does not
look, and finishes what it does.
"""

from collections.abc import Iterator

import pytest

from .configurations import IMPATIENT
from .conftest import Start
from .running import RunningProxy
from .test_http1 import CANCELLED


@pytest.fixture(params=IMPATIENT, ids=lambda each: each.name)
def impatient(request: pytest.FixtureRequest, start_proxy: Start) -> Iterator[RunningProxy]:
    proxy = start_proxy(request.param)
    yield proxy
    proxy.close_clients()
    proxy.server.close_clients()


def test_a_request_that_the_proxy_gives_up_on_is_cancelled(impatient: RunningProxy) -> None:
    server, client = impatient.server, impatient.connect()
    key = server.new_key()
    client.request(f"/guarded/slow/{key}", body=b"hello")
    assert client.response().status == impatient.proxy.status
    assert server.end(key) == ["called", "read 5", *CANCELLED]


def test_without_the_middleware_it_finishes(impatient: RunningProxy) -> None:
    server, client = impatient.server, impatient.connect()
    key = server.new_key()
    client.request(f"/bare/slow/{key}", body=b"hello")
    assert client.response().status == impatient.proxy.status
    server.watching_has_begun()
    server.open_gate(key)
    story = server.end(key)
    assert "cancelled" not in story
    assert "finished" in story


def test_one_that_opts_out_finishes(impatient: RunningProxy) -> None:
    server, client = impatient.server, impatient.connect()
    key = server.new_key()
    client.request(f"/guarded/ignoring/{key}", body=b"hello")
    assert client.response().status == impatient.proxy.status
    server.watching_has_begun()
    server.open_gate(key)
    story = server.end(key)
    assert "cancelled" not in story
    assert "finished" in story

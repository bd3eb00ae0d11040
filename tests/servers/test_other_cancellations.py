"""A server that cancels the app by itself does to a guarded one what it does to a bare one.

A cancellation that is not ours passes through, unchanged (contract §4.5).
"""

from .configurations import CONFIGURATIONS, Configuration
from .conftest import Start

SERVERS = [each for each in CONFIGURATIONS if each.cancels_by_itself]
OURS = " asgi_disconnect: "


def test_an_app_that_overruns_the_servers_patience_is_cancelled_as_it_would_be_unguarded(
    configuration: Configuration, start_server: Start
) -> None:
    server = start_server(configuration, *configuration.cancels_by_itself)
    keys = []
    for mode in ("bare", "guarded"):
        key, client = server.new_key(), server.connect()
        client.request(f"/{mode}/deaf/{key}", body=b"hello")
        server.wait(key, "working")
        client.leave("fin")
        keys.append(key)
    bare, guarded = (server.end(key) for key in keys)
    assert "cancelled" in bare
    assert guarded == bare
    assert guarded[-1] == "raised CancelledError"
    assert OURS not in server.log()


def test_background_work_that_overruns_it_is_cancelled_as_it_would_be_unguarded(
    configuration: Configuration, start_server: Start
) -> None:
    server = start_server(configuration, *configuration.cancels_by_itself)
    keys = []
    for mode in ("bare", "guarded"):
        key, client = server.new_key(), server.connect()
        client.request(f"/{mode}/background/{key}", body=b"hello")
        assert client.response().body == b"done"
        server.wait(key, "working")
        client.leave("fin")
        keys.append(key)
    bare, guarded = (server.end(key) for key in keys)
    assert "cancelled" in bare
    assert guarded == bare
    assert guarded[-1] == "raised CancelledError"
    assert OURS not in server.log()

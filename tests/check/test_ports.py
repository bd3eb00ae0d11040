"""The ports that servers are started on: nobody else gets one before its server has it."""

import contextlib
import socket
import sys

import pytest

from asgi_disconnect._check.running import free_port


def test_a_server_can_take_it() -> None:
    with (
        free_port() as port,
        socket.create_server(("127.0.0.1", port)) as server,
        socket.create_connection(("127.0.0.1", port)),
    ):
        server.accept()[0].close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it cannot be held")
def test_it_is_given_to_nobody_else() -> None:
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(free_port()) for _ in range(400)]
        assert len(set(ports)) == 400
        for _ in range(200):
            with socket.create_server(("127.0.0.1", 0)) as server:
                assert server.getsockname()[1] not in ports
                with socket.create_connection(server.getsockname()) as client:
                    assert client.getsockname()[1] not in ports

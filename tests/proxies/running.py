"""A proxy in a subprocess, in front of a server that runs already."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

from asgi_disconnect._check.running import free_port

from ..servers.http1 import Http1Client
from ..servers.http2 import Http2Client
from ..servers.running import RunningServer
from ..servers.tls import Certificate
from .configurations import Proxy

KEPT_IN = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
"""Where Caddy keeps its last configuration, and more."""


class RunningProxy:
    """One process, from the start to `stop()`."""

    def __init__(
        self, proxy: Proxy, server: RunningServer, folder: Path, certificate: Certificate
    ) -> None:
        self.proxy = proxy
        self.server = server
        self._certificate = certificate
        self._clients: list[Http1Client | Http2Client] = []
        self._log = folder / "log"
        self._until_stopped = contextlib.ExitStack()
        self.port = self._until_stopped.enter_context(free_port())
        self.tls_port = self._until_stopped.enter_context(free_port())
        host, port = server.address
        file = folder / "configuration"
        file.write_text(
            proxy.configure(
                folder,
                port=self.port,
                tls_port=self.tls_port,
                app=f"{host}:{port}",
                app_host=host,
                app_port=port,
                certificate=certificate.certificate,
                key=certificate.key,
                both=certificate.both,
            )
        )
        assert proxy.path is not None
        arguments = [part.format(file=file) for part in proxy.command]
        log = self._until_stopped.enter_context(self._log.open("wb"))
        self._process = subprocess.Popen(
            [proxy.path, *arguments],
            cwd=folder,
            env={**os.environ, **dict.fromkeys(KEPT_IN, str(folder))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def wait_until_up(self) -> None:
        """Wait until it accepts connections."""
        deadline = time.monotonic() + 30
        for port in (self.port, self.tls_port)[: 1 if self.proxy.http2 is None else 2]:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                except ConnectionRefusedError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        raise AssertionError(f"not up:\n{self._log.read_text()}") from None
                    time.sleep(0.02)
                else:
                    break

    def connect(self) -> Http1Client:
        """A new client over HTTP/1.1."""
        client = Http1Client(("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    def connect_http2(self) -> Http2Client:
        """A new client over HTTP/2 and TLS."""
        client = Http2Client(("127.0.0.1", self.tls_port), self._certificate.trusted("h2"))
        self._clients.append(client)
        return client

    def has_had_time(self) -> None:
        """Return when it, and the server, have done what they were to do at once.

        Since the call, the proxy has passed on a whole request, and the server has noticed that
        another client had left.
        """
        for _ in range(2):
            key, client = self.server.new_key(), self.connect()
            client.request(f"/guarded/quick/{key}", method="GET")
            assert client.response().status == 200
            self.server.watching_has_begun()

    def close_clients(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def stop(self) -> None:
        self.close_clients()
        self._process.terminate()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._until_stopped.close()

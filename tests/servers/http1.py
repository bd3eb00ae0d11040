"""An HTTP/1.1 client on a bare socket, which can leave in every way that there is."""

import contextlib
import http.client
import select
import socket
import ssl
import struct
from dataclasses import dataclass

LINGER_0 = struct.pack("ii", 1, 0)


def send_close_notify(connection: socket.socket) -> None:
    """End TLS, and do not wait for the other side to do so too; TCP stays as it is."""
    assert isinstance(connection, ssl.SSLSocket)
    connection.setblocking(False)
    with contextlib.suppress(ssl.SSLError):  # it is sent, and then the other side's is not there
        connection.unwrap()


@dataclass(frozen=True)
class Response:
    """A complete response."""

    status: int
    body: bytes


def format_head(path: str, *, method: str = "POST", length: int = 0, expect: bool = False) -> bytes:
    """A request without its body, whose length is `length`."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {length}"]
    if expect:
        lines.append("expect: 100-continue")
    return "\r\n".join([*lines, "", ""]).encode()


class Http1Client:
    """One connection."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._response: http.client.HTTPResponse | None = None

    def request(
        self,
        path: str,
        *,
        method: str = "POST",
        body: bytes = b"",
        length: int | None = None,
        expect: bool = False,
    ) -> None:
        """Send a request, of whose body of `length` bytes `body` is the first piece."""
        size = len(body) if length is None else length
        self.send(format_head(path, method=method, length=size, expect=expect) + body)

    def pipeline(self, *paths: str) -> None:
        """Send requests without bodies, all at once: the server has all when it has the first."""
        self.send(b"".join(map(format_head, paths)))

    def send(self, data: bytes) -> None:
        """Send more of the body."""
        self.socket.sendall(data)

    def response(self) -> Response:
        """The response to the request, from its start or from where `begin_response` stopped."""
        response = self._begin()
        body = response.read()
        response.close()
        self._response = None
        return Response(response.status, body)

    def begin_response(self, size: int) -> bytes:
        """The first `size` bytes of the response's body."""
        return self._begin().read(size)

    def _begin(self) -> http.client.HTTPResponse:
        if self._response is None:
            self._response = http.client.HTTPResponse(self.socket)
            self._response.begin()
        return self._response

    def has_continue(self) -> bool:
        """Whether `100 Continue` has come; takes it."""
        if not self.has_data():
            return False
        self.wait_for_continue()
        return True

    def has_data(self) -> bool:
        """Whether anything has come, be it the end."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def wait_for_continue(self) -> None:
        """Wait for `100 Continue`; takes it."""
        line = b""
        while not line.endswith(b"\r\n\r\n"):
            line += self.socket.recv(1)
        assert line.startswith(b"HTTP/1.1 100 ")

    def read_head(self) -> bytes:
        """What comes first."""
        return self.socket.recv(4096)

    def read_until_closed(self) -> bytes:
        """Whatever still comes until the server closes the connection."""
        pieces = []
        try:
            while piece := self.socket.recv(65536):
                pieces.append(piece)
        except ConnectionError:
            pass
        return b"".join(pieces)

    def leave(self, way: str) -> None:
        """Leave: by a FIN, an RST, or with the writing half only.

        Of a TLS connection: by ``close-notify`` alone, or by ``close-notify-fin``, as most clients
        do; a FIN comes without it.
        """
        if way.startswith("close-notify"):
            send_close_notify(self.socket)
            if way == "close-notify":
                return
        if way == "half-close":
            self.socket.shutdown(socket.SHUT_WR)
            return
        if way == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.close()

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
        self.socket.close()

"""An HTTP/2 client on a bare socket, which can leave in every way.

It speaks h2c, with prior knowledge, or HTTP/2 over TLS.
"""

import contextlib
import socket
import ssl

import h2.config
import h2.connection
import h2.events
from h2.errors import ErrorCodes
from hyperframe.frame import RstStreamFrame

from .http1 import LINGER_0, Response, send_close_notify


class Http2Client:
    """One connection.  Everything is about the last request unless a `stream` is named."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
            assert self.socket.selected_alpn_protocol() == "h2"
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self._flush()
        self.stream = 0
        self._due: dict[int, int] = {}
        self._status: dict[int, int] = {}
        self._body: dict[int, bytearray] = {}
        self._ended: set[int] = set()

    def _flush(self) -> None:
        self.socket.sendall(self._h2.data_to_send())

    def request(
        self,
        path: str,
        *,
        method: str = "POST",
        body: bytes = b"",
        length: int | None = None,
    ) -> None:
        """Send a request, of whose body of `length` bytes `body` is the first piece."""
        length = len(body) if length is None else length
        self.stream = self._h2.get_next_available_stream_id()
        self._due[self.stream] = length
        self._body[self.stream] = bytearray()
        headers = [
            (":method", method),
            (":path", path),
            (":scheme", self._scheme),
            (":authority", "localhost"),
            ("content-length", str(length)),
        ]
        self._h2.send_headers(self.stream, headers, end_stream=not length)
        self._flush()
        self.send(body)

    def send(self, data: bytes) -> None:
        """Send more of the body."""
        stream = self.stream
        while data:
            room = min(self._h2.local_flow_control_window(stream), 16384)
            if not room:
                self._hear()
                continue
            self._due[stream] -= len(data[:room])
            self._h2.send_data(stream, data[:room], end_stream=not self._due[stream])
            data = data[room:]
            self._flush()

    def response(self, stream: int | None = None) -> Response:
        """The whole response."""
        stream = stream or self.stream
        while stream not in self._ended:
            self._hear()
        return Response(self._status[stream], bytes(self._body[stream]))

    def begin_response(self, size: int) -> bytes:
        """The first `size` bytes of the response's body."""
        while len(self._body[self.stream]) < size:
            self._hear()
        return bytes(self._body[self.stream][:size])

    def _hear(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server has closed the connection")
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self._status[event.stream_id] = int(dict(event.headers)[b":status"])
            elif isinstance(event, h2.events.DataReceived):
                self._body[event.stream_id] += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self._ended.add(event.stream_id)
        with contextlib.suppress(ConnectionError):  # the server may have closed by now
            self._flush()

    def leave(self, way: str, stream: int | None = None) -> None:
        """Leave: by a FIN or an RST of the connection, or by an RST_STREAM (CANCEL).

        TLS ends as in `Http1Client.leave`.
        """
        if way == "rst-stream":
            # Not by h2, which sends none once the response is complete; others do.
            frame = RstStreamFrame(stream or self.stream, error_code=ErrorCodes.CANCEL)
            self.socket.sendall(frame.serialize())
            return
        if way.startswith("close-notify"):
            send_close_notify(self.socket)
            if way == "close-notify":
                return
        if way == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.close()

    def close(self) -> None:
        self.socket.close()

"""A WebSocket client on a bare socket, which can leave in every way that there is.

The frames are read and written by the `websockets` library, which opens no socket of its own then:
over HTTP/1.1 with its handshake, over HTTP/2 inside the stream of an extended CONNECT (RFC 8441).
"""

import contextlib
import select
import socket
import time
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
from h2.errors import ErrorCodes
from hyperframe.frame import RstStreamFrame
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import CLIENT, State
from websockets.protocol import Protocol as FrameProtocol
from websockets.uri import parse_uri

from .http1 import LINGER_0

CODE, REASON = 4001, "bye"
"""What a client says that leaves by "close"."""
PATIENCE = 0.2
"""Seconds for which it waits for the server's close frame then: not all reply before they must."""


class OverHttp1:
    """A connection that is upgraded."""

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.status = 0
        self.body = b""
        self._unsent = bytearray()
        protocol = ClientProtocol(parse_uri(f"ws://localhost{path}"), max_size=None)
        self.frames: FrameProtocol = protocol
        protocol.send_request(protocol.connect())
        self.write()

    def write(self) -> None:
        """Send what is to be sent, or, after a `TimeoutError`, the rest of it."""
        self._unsent += b"".join(self.frames.data_to_send())
        while self._unsent:
            del self._unsent[: self.socket.send(self._unsent)]

    def can_go_on(self) -> bool:
        """Whether `write`, which has timed out, could send more now."""
        return bool(select.select([], [self.socket], [], 0)[1])

    def hear(self) -> None:
        data = self.socket.recv(65536)
        if data:
            self.frames.receive_data(data)
        else:
            self.frames.receive_eof()

    def leave(self, way: str) -> None:
        if way == "half-close":
            self.socket.shutdown(socket.SHUT_WR)
            return
        if way == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.socket.close()


class OverHttp2:
    """A stream of a connection of its own."""

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.status = 0
        self.body = b""
        self._unsent = bytearray()
        self.frames = FrameProtocol(CLIENT, max_size=None)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self._flush_h2()
        # A client has to know first that the server speaks RFC 8441.
        while not self._h2.remote_settings.enable_connect_protocol:
            self.hear()
        self.stream = self._h2.get_next_available_stream_id()
        headers = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":path", path),
            (":scheme", "http"),
            (":authority", "localhost"),
            ("sec-websocket-version", "13"),
        ]
        self._h2.send_headers(self.stream, headers)
        self._flush_h2()

    def _flush_h2(self) -> None:
        with contextlib.suppress(OSError):  # the server may have closed by now
            self.socket.sendall(self._h2.data_to_send())

    def write(self) -> None:
        """Send what is to be sent, or, after a `TimeoutError`, the rest of it."""
        self._unsent += b"".join(self.frames.data_to_send())
        while self._unsent:
            room = min(self._h2.local_flow_control_window(self.stream), 16384)
            if room:
                self._h2.send_data(self.stream, bytes(self._unsent[:room]))
                del self._unsent[:room]
                self._flush_h2()
            else:
                self.hear()

    def can_go_on(self) -> bool:
        """Whether `write`, which has timed out, could send more now: it waits for the window."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def hear(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            self.frames.receive_eof()
            return
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = int(dict(event.headers)[b":status"])
            elif isinstance(event, h2.events.DataReceived):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if self.status == 200:
                    self.frames.receive_data(event.data)
                else:
                    self.body += event.data
            elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                self.frames.receive_eof()
        self._flush_h2()

    def leave(self, way: str) -> None:
        if way == "end-stream":
            self._h2.end_stream(self.stream)
            self._flush_h2()
            return
        if way == "rst-stream":
            frame = RstStreamFrame(self.stream, error_code=ErrorCodes.CANCEL)
            self.socket.sendall(frame.serialize())
            return
        if way == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.socket.close()


class WebSocketClient:
    """One WebSocket."""

    def __init__(self, address: tuple[str, int], path: str, *, http2: bool = False) -> None:
        self._carrier: OverHttp1 | OverHttp2
        self._carrier = OverHttp2(address, path) if http2 else OverHttp1(address, path)
        self.socket = self._carrier.socket
        self._unread: list[Frame] = []

    def status(self) -> int:
        """The server's answer to the handshake, once it has come: 101, over HTTP/2 200, or else."""
        while not self._carrier.status:
            self._hear()
        return self._carrier.status

    @property
    def answer(self) -> int:
        """The same as far as it has come; 0 before."""
        return self._carrier.status

    def body_of(self, size: int) -> bytes:
        """The first `size` bytes of the body of an answer that denies."""
        while len(self._carrier.body) < size:
            self._hear()
        return self._carrier.body[:size]

    def flood(
        self, size: int, *, ask: Callable[[], None], patience: float = 1, piece: int = 65536
    ) -> int:
        """Send numbered messages, `size` bytes in all, until the server takes no more.

        Returns the bytes that it has taken.  It takes no more if it takes nothing for `patience`
        seconds, and still nothing when it has answered somebody else, for which `ask` waits: a
        server that stands still for a moment holds nobody back.  The connection is good for nothing
        else then.
        """
        self.status()
        usual = self.socket.gettimeout()
        self.socket.settimeout(patience)
        sent = number = 0
        while sent < size:
            self._carrier.frames.send_binary(number.to_bytes(4) + bytes(piece - 4))
            while not self._has_written():
                ask()
                if not self._carrier.can_go_on():
                    return sent
            sent += piece
            number += 1
        self.socket.settimeout(usual)
        return sent

    def _has_written(self) -> bool:
        try:
            self._carrier.write()
        except TimeoutError:
            return False
        return True

    def send(self, data: str | bytes) -> None:
        """Send a text, or bytes."""
        self.status()
        if isinstance(data, str):
            self._carrier.frames.send_text(data.encode())
        else:
            self._carrier.frames.send_binary(data)
        self._carrier.write()

    def receive(self) -> str | bytes:
        """The next text or bytes."""
        self.status()
        while not self._unread:
            self._hear()
        frame = self._unread.pop(0)
        return bytes(frame.data) if frame.opcode is Opcode.BINARY else bytes(frame.data).decode()

    def send_close(self) -> None:
        """Send a close frame, and stay."""
        self.status()
        self._carrier.frames.send_close(CODE, REASON)
        self._carrier.write()

    def read_close(self) -> int | None:
        """The server's close code, once its close frame has come; None if it goes without one."""
        with contextlib.suppress(ConnectionError):
            while self.close_code is None:
                self._hear()
        return self.close_code

    def read_until_closed(self) -> int | None:
        """The server's close code, once it has closed the WebSocket; None if it said none."""
        with contextlib.suppress(ConnectionError):
            while not self.is_closed:
                self._hear()
        return self.close_code

    @property
    def close_code(self) -> int | None:
        """The server's close code, if it has come."""
        said = self._carrier.frames.close_rcvd
        return None if said is None else said.code

    def has_data(self) -> bool:
        """Whether anything has come, be it the end."""
        return bool(select.select([self.socket], [], [], 0)[0])

    @property
    def is_closed(self) -> bool:
        return self._carrier.frames.state is State.CLOSED

    def _hear(self) -> None:
        carrier = self._carrier
        if self.is_closed:
            raise ConnectionError("the server has closed the WebSocket")
        carrier.hear()
        for event in carrier.frames.events_received():
            if isinstance(event, Response):
                carrier.status = event.status_code
                carrier.body = bytes(event.body or b"")
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
                self._unread.append(event)
        with contextlib.suppress(OSError):  # the server may have closed by now
            carrier.write()

    def leave(self, way: str) -> None:
        """Leave: by a close frame, as browsers do, or without one.

        That is by a FIN, an RST, or with the writing half only; over HTTP/2 also by the end or an
        RST_STREAM of the stream alone.
        """
        if way == "close":
            self.send_close()
            self.socket.settimeout(PATIENCE)
            patient_until = time.monotonic() + PATIENCE
            with contextlib.suppress(OSError):
                while self._carrier.frames.close_rcvd is None and time.monotonic() < patient_until:
                    self._hear()
            self.close()
        else:
            self._carrier.leave(way)

    def close(self) -> None:
        self.socket.close()

"""A WebSocket client that can leave by reset: the `websockets` library's protocol on a connection.

The library comes with an extra, so this module is imported only if needed.
"""

import asyncio
import contextlib
import socket
import struct
import sys
from typing import Final

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from .probe import HEADER
from .websocket import WebSocket

NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
KEPT: Final = 200
"""How many bytes of the first message to keep."""

_OF_PARAMETERS: Final = ("origin", "sec-websocket-protocol")


class Client:
    """One connection, which reads everything, so that nothing holds up the app."""

    def __init__(self, request: WebSocket, mark: str, port: int) -> None:
        self._port = port
        origins = request.values("origin")
        offered = ",".join(request.values("sec-websocket-protocol"))
        protocols = [Subprotocol(each.strip()) for each in offered.split(",") if each.strip()]
        self._protocol = ClientProtocol(
            parse_uri(request.address(port)),
            origin=Origin(origins[0]) if origins else None,
            subprotocols=protocols or None,
            max_size=None,
        )
        self._handshake = self._protocol.connect()
        headers = self._handshake.headers
        headers[HEADER] = mark
        for line in request.headers:
            name, _, value = line.partition(":")
            name = name.strip()
            if name.lower() == "host":
                del headers["Host"]
            if name.lower() not in _OF_PARAMETERS:
                headers[name] = value.strip()
        self._answered = asyncio.Event()
        self.response: Response | None = None
        """The server's answer to the handshake."""
        self.first = b""
        """The beginning of the first message."""
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, seconds: float) -> None:
        """Shake hands; `response` is None if no answer has come within `seconds`."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._protocol.send_request(self._handshake)
        self._flush()
        self._reading = asyncio.ensure_future(self._read(reader))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), seconds)

    @property
    def is_open(self) -> bool:
        """Whether the app has accepted, with an answer that we accept, too."""
        return self.response is not None and self._protocol.handshake_exc is None

    @property
    def close_code(self) -> int | None:
        """The server's close code."""
        return self._protocol.close_rcvd.code if self._protocol.close_rcvd is not None else None

    @property
    def close_reason(self) -> str:
        """The server's close reason."""
        return self._protocol.close_rcvd.reason if self._protocol.close_rcvd is not None else ""

    @property
    def refusal(self) -> str | None:
        """Why we do not accept the app's answer."""
        error = self._protocol.handshake_exc
        return str(error) if error is not None else None

    def send(self, data: bytes) -> None:
        """Send a message, as text if it is UTF-8."""
        if self._protocol.state is not State.OPEN:  # the app has closed it
            return
        try:
            data.decode()
        except UnicodeDecodeError:
            self._protocol.send_binary(data)
        else:
            self._protocol.send_text(data)
        self._flush()

    def close(self) -> None:
        """Leave with a close frame, as a page does."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._flush()

    def reset(self) -> None:
        """Leave by reset, as a client that is suddenly gone."""
        if self._writer is not None:
            connection = self._writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self._writer.transport.abort()

    async def end(self) -> None:
        """Close the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._writer is not None:
            self._writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self._protocol.receive_data(data)
                self._take_events()
        self._protocol.receive_eof()
        self._take_events()
        self._answered.set()

    def _take_events(self) -> None:
        self._flush()
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self.response = event
                self._answered.set()
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY):
                self.first = self.first or bytes(event.data[:KEPT])

    def _flush(self) -> None:
        assert self._writer is not None
        for data in self._protocol.data_to_send():
            if data:  # empty data asks for a half-close
                self._writer.write(data)

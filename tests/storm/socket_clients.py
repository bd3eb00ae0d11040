"""Clients of a storm over sockets: each does something at random, and leaves at a random moment."""

import contextlib
import random
import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from ..servers.configurations import Configuration
from ..servers.http1 import Http1Client
from .scripted_clients import UPLOADS, Route


@dataclass(frozen=True)
class App:
    """One of the served apps."""

    name: str
    routes: list[Route]
    cleanup: bool


class SocketVisit:
    """One request over a connection: what its client does is drawn from `seed`."""

    def __init__(self, key: int, apps: list[App], configuration: Configuration, seed: str) -> None:
        draw = self._draw = random.Random(f"{seed} {configuration.name} {key}")
        self.key = str(key)
        self.app = draw.choice(apps)
        self.route = draw.choice(self.app.routes)
        moments = ["time", "time"]
        if not self.route.endless:
            moments += ["never", "never", "response"]
        elif self.route.name == "stream":
            moments.append("response")
        uploads = not self.route.get
        if self.route.name in UPLOADS and not configuration.http2:
            # Data for a stream whose response is complete crashes hypercorn's connection, with all
            # apps on it.
            uploads = uploads or draw.random() < 0.4
        if uploads:
            moments.append("in the body")
        if not configuration.http2:
            moments.append("in the head")
        self.moment = draw.choice(moments)
        self._pieces = self._body() if uploads else []
        self.body = b"".join(self._pieces)
        self.way = draw.choice(configuration.ways)
        self.fault: str | None = None

    def __repr__(self) -> str:
        return (
            f"{self.key}: {self.app.name} {self.route.name}, {len(self.body)} bytes,"
            f" leaves: {self.moment} by {self.way}"
        )

    @property
    def stays(self) -> bool:
        return self.moment == "never"

    def _body(self) -> list[bytes]:
        draw = self._draw
        largest = draw.choice((1, 1_000, 50_000))
        return [bytes(draw.randint(1, largest)) for _ in range(draw.randint(1, 5))]

    def make(self, client: Any) -> bool:
        """Do it on a connection; true if that can be used once more."""
        path = f"/{self.app.name}/{self.route.name}?key={self.key}"
        method = "POST" if self._pieces else "GET"
        draw = self._draw
        # A server may be done with a client before that client is done; so may it, by an app that
        # does not read, with one that stays.
        patient = self.stays and not (self._pieces and self.route.get)
        with contextlib.nullcontext() if patient else contextlib.suppress(OSError, HTTPException):
            if self.moment == "in the head":
                assert isinstance(client, Http1Client)
                client.send(f"{method} {path} HTTP/1.1\r\nhost: loc".encode())
            else:
                missing = int(self.moment == "in the body")
                client.request(path, method=method, length=len(self.body) + missing)
                for piece in self._pieces:
                    client.send(piece)
                    if draw.random() < 0.2:
                        time.sleep(draw.uniform(0, 0.003))
            if self.moment == "response":
                client.begin_response(1)
            elif self.stays:
                self._check(client.response())
                return True
            else:
                time.sleep(draw.choice((0, draw.uniform(0, 0.03))))
            client.leave(self.way)
            if self.way == "half-close":
                client.socket.settimeout(draw.uniform(0.01, 0.5))
                client.read_until_closed()
        return False

    def _check(self, response: Any) -> None:
        if response.status != 200:
            self.fault = f"status {response.status}"
        elif self.route.name in ("echo", "late") and response.body != self.body:
            self.fault = "its body was not what came back"

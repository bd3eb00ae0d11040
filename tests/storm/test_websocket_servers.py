"""A storm of WebSockets over each real server: left at random moments, in every way."""

import contextlib
import dataclasses
import itertools
import random
import threading
import time
from collections import Counter

import pytest

from ..frameworks.apps import FRAMEWORKS
from ..servers.running import RunningServer
from ..servers.websocket_clients import WebSocketClient
from ..servers.websocket_configurations import (
    HANDLERS,
    WEBSOCKET_CONFIGURATIONS,
    WebSocketConfiguration,
)
from .records import Record, websocket_faults
from .scripted_websockets import ROUTES
from .test_servers import CLIENTS, ask, is_no_more, remains_when_quiet, server  # noqa: F401

pytestmark = pytest.mark.timeout(3600)

WARM_UP = 10**9
"""The keys of the first, which make what is made once."""


@pytest.fixture(params=WEBSOCKET_CONFIGURATIONS, ids=lambda each: each.name)
def configuration(request: pytest.FixtureRequest) -> WebSocketConfiguration:
    chosen: WebSocketConfiguration = request.param
    if chosen.missing:
        pytest.skip(f"not installed: {', '.join(chosen.missing)}")
    command = tuple(
        "storm_app:application" if part == HANDLERS else part for part in chosen.command
    )
    return dataclasses.replace(chosen, command=command)


class SocketVisit:
    """One WebSocket: what its client does is drawn from `seed`."""

    def __init__(self, key: int, configuration: WebSocketConfiguration, seed: str) -> None:
        draw = self._draw = random.Random(f"{seed} {configuration.name} {key}")
        backend = "trio" if "trio" in configuration.name else "asyncio"
        self.key = str(key)
        self.framework = draw.choice(
            [
                each
                for each in FRAMEWORKS
                if backend in each.backends
                # Daphne's scope of a WebSocket has no "scheme", which Quart wants.
                and not (each.listens and configuration.name == "daphne-ws")
            ]
        )
        # Where a client's reply to the app's close may crash a connection, the app closes none.
        routes = ROUTES if configuration.survives_reply else ROUTES[:-1]
        self.route = draw.choice(routes)
        # What `send` raises for the app's own close is the server's to log, with or without us.
        self.stays = self.route == "socket"
        self.way = draw.choice(configuration.ways)
        self._http2 = configuration.http2
        most, longest = (5, 100) if self.route == "pushes" else (20, 1_000)
        self._texts = ["x" * draw.randint(1, longest) for _ in range(draw.randint(1, most))]
        self.fault: str | None = None

    def __repr__(self) -> str:
        leaves = "stays" if self.stays else f"leaves by {self.way}"
        return f"{self.key}: {self.framework.name} {self.route}, {len(self._texts)} texts, {leaves}"

    def make(self, address: tuple[str, int]) -> None:
        path = f"/{self.framework.name}/{self.route}?key={self.key}"
        client = WebSocketClient(address, path, http2=self._http2)
        try:
            with contextlib.nullcontext() if self.stays else contextlib.suppress(OSError):
                self._visit(client)
        finally:
            client.close()

    def _visit(self, client: WebSocketClient) -> None:
        client.status()  # some servers log one who leaves before
        if self.stays:
            client.send(self._texts[0])
            if client.receive() != self._texts[0]:
                self.fault = "its text was not what came back"
            client.read_until_closed()
            return
        for text in self._texts[: self._draw.randint(0, len(self._texts))]:
            client.send(text)
        time.sleep(self._draw.choice((0, self._draw.uniform(0, 0.03))))
        client.leave(self.way)
        if self.way in ("half-close", "end-stream"):
            client.socket.settimeout(self._draw.uniform(0.01, 0.5))
            client.read_until_closed()


@pytest.mark.usefixtures("server")
def test_every_websocket_of_a_storm_has_one_outcome_and_nothing_is_left(
    server: RunningServer,  # noqa: F811
    websockets_each: int,
    seed: int,
) -> None:
    configuration = server.configuration
    assert isinstance(configuration, WebSocketConfiguration)
    keys = itertools.count()
    visits: list[SocketVisit] = []
    wrong: list[str] = []

    def visit_all() -> None:
        while (key := next(keys)) < websockets_each:
            visit = SocketVisit(key, configuration, str(seed))
            visits.append(visit)
            try:
                visit.make(server.address)
            except Exception as error:
                visit.fault = f"{type(error).__name__}: {error}"

    for number in range(3 * len(FRAMEWORKS)):
        SocketVisit(WARM_UP + number, configuration, "warm up").make(server.address)
    before = remains_when_quiet(server, [])
    server.complaints()
    threads = [threading.Thread(target=visit_all) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = remains_when_quiet(server, [], before)
    if not is_no_more(after, before):
        wrong.append(f"left behind: {before} has become {after}")
    records = {
        key: Record(**{**fields, "notes": Counter(fields["notes"])})
        for key, fields in ask(server.connect(), "records").items()
    }
    asyncio = "trio" not in configuration.name
    for visit in visits:
        found = [visit.fault] if visit.fault else []
        if visit.key in records:
            found += websocket_faults(
                records[visit.key],
                visit.route,
                cleanup=asyncio and not visit.framework.listens,
                stayed=visit.stays,
                tells=not visit.framework.listens,
            )
        else:
            found.append("never called")
        wrong += (f"{visit}: {fault}: {records.get(visit.key)}" for fault in found)
    wrong += server.complaints()
    assert not wrong, f"--seed {seed}: {len(wrong)}:\n" + "\n".join(wrong[:20])

"""A storm over each real server: clients leave in every phase at random, and nothing is left."""

import dataclasses
import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ..frameworks.apps import FRAMEWORKS
from ..servers.configurations import APP, CONFIGURATIONS, Configuration
from ..servers.http1 import Http1Client
from ..servers.running import RunningServer
from .records import Record, faults
from .scripted_clients import Route
from .socket_clients import App, SocketVisit
from .test_in_process import ROUTES

pytestmark = pytest.mark.timeout(3600)

CLIENTS = 12
OPTIONS = {
    "gunicorn": ("--asgi-disconnect-grace-period", "3"),  # for so long it keeps what has ended
    "hypercorn": ("--keep-alive", "1"),  # for so long a connection is kept whose client has left
    "uvicorn": ("--log-level", "warning"),
}
QUIET = {"gunicorn": 6.0}
"""Seconds after which nothing more of an earlier connection goes away; 2 for the others."""

BUSY = "BusyResourceError"
"""What `send` raises on hypercorn's trio worker when it meets the connection's end, bare too; the
worker logs it."""

SERVED = Path(__file__).parent / "served"
CHECKOUT = Path(__file__).parent.parent.parent


def apps_on(backend: str) -> list[App]:
    """What can be served there."""
    found = [
        App(
            framework.name,
            [
                route
                for route in ROUTES
                if (framework.background or route.name != "background")
                and (framework.polls or route.name != "polls")
            ],
            cleanup=backend == "asyncio" and not framework.task_group,
        )
        for framework in FRAMEWORKS
        if backend in framework.backends and (framework.needs is None or find_spec(framework.needs))
    ]
    if find_spec("fastapi"):
        routes = [Route("slow", endless=True), *map(Route, ("sync", "sync-stream", "background"))]
        found.append(App("fastapi-threads", routes, cleanup=backend == "asyncio"))
    return found


@pytest.fixture(params=CONFIGURATIONS, ids=lambda each: each.name)
def configuration(request: pytest.FixtureRequest) -> Configuration:
    chosen: Configuration = request.param
    if chosen.missing:
        pytest.skip(f"not installed: {', '.join(chosen.missing)}")
    command = tuple("storm_app:application" if part == APP else part for part in chosen.command)
    return dataclasses.replace(chosen, command=command)


@pytest.fixture
def server(
    configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningServer]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SERVED), str(CHECKOUT)]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    started = RunningServer(configuration, *OPTIONS.get(configuration.name.split("-")[0], ()))
    try:
        started.wait_until_up()
        yield started
    finally:
        started.stop(patience=5)


def connect(server: RunningServer) -> Any:
    """A new client, whose thread is the one to close it."""
    if server.configuration.http2:
        from ..servers.http2 import Http2Client

        return Http2Client(server.address)
    return Http1Client(server.address)


def ask(client: Any, what: str) -> Any:
    """What the served app says of itself."""
    client.request(f"/storm/{what}", method="GET")
    return json.loads(client.response().body)


def test_every_request_of_a_storm_has_one_outcome_and_nothing_is_left(
    server: RunningServer, each_server: int, seed: int, tmp_path: Path
) -> None:
    configuration = server.configuration
    apps = apps_on("trio" if "trio" in configuration.name else "asyncio")
    keys = itertools.count()
    visits: list[SocketVisit] = []
    wrong: list[str] = []
    complaints: list[str] = []

    def visit_all() -> None:
        while (key := next(keys)) < each_server:
            client, again = connect(server), True
            while again and key < each_server:
                visit = SocketVisit(key, apps, configuration, str(seed))
                visits.append(visit)
                try:
                    again = visit.make(client) and key % 3 == 0
                except Exception as error:
                    visit.fault, again = f"{type(error).__name__}: {error}", False
                if again:
                    key = next(keys)
            client.close()

    # What is made once, at the first request, is not left by the last one.
    for app, number in itertools.product(apps, range(2)):
        client = server.connect()
        client.request(f"/{app.name}/{app.routes[-1].name}?key={10**9 + number}")
        client.response()
    server.close_clients()
    before = remains_when_quiet(server, visits)
    threads = [threading.Thread(target=visit_all) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(1)
            complaints += server.complaints()
    after = remains_when_quiet(server, visits, before)
    if not is_no_more(after, before):
        wrong.append(f"left behind: {before} has become {after}")
    records = {
        key: Record(**{**fields, "notes": Counter(fields["notes"])})
        for key, fields in ask(server.connect(), "records").items()
    }
    busy = False
    for visit in visits:
        record = records.get(visit.key)
        if record is not None and record.ended == BUSY and "trio" in configuration.name:
            busy = True
            continue
        found = [visit.fault] if visit.fault else []
        if record is not None:
            found += faults(
                record,
                visit.route.name,
                cleanup=visit.app.cleanup,
                stayed=visit.stays,
                blocks=configuration.send_waits_when_gone,
            )
        elif visit.stays:
            found.append("never called")
        wrong += (f"{visit}: {fault}: {record}" for fault in found)
    complaints += server.complaints()
    if not busy:
        wrong += complaints
    assert not wrong, f"--seed {seed}: {len(wrong)}:\n" + "\n".join(wrong[:20])
    assert not list(tmp_path.iterdir())


def remains_when_quiet(
    server: RunningServer, visits: list[SocketVisit], expected: Any = None
) -> Any:
    """What there is once that is as expected, or no longer grows less."""
    client = server.connect()
    left = {visit.key for visit in visits if not visit.stays}
    quiet = QUIET.get(server.configuration.name.removesuffix("-ws"), 2.0)
    quiet_since = started = time.monotonic()
    least = None
    while True:
        now = time.monotonic()
        try:
            remains = ask(client, "remains")
        except ConnectionError:  # hypercorn closes a connection that is idle for a second
            client = server.connect()
            remains = ask(client, "remains")
        if server.configuration.send_waits_when_gone:  # what is in `send` then is not ours
            sending = [key for key in remains["running, completed"] if key not in left]
            remains |= {"tasks": 0, "files": 0, "running, completed": sending}
        if least is None or not is_no_more(least, remains):
            least, quiet_since = remains, now
        if (
            is_no_more(remains, expected) if expected is not None else now - quiet_since > quiet
        ) or now - started > 30:
            server.close_clients()
            return remains if expected is not None else least
        time.sleep(0.1)


def is_no_more(one: Any, other: Any) -> bool:
    """Whether there is nothing in `one` that is not in `other`; of tasks, a few come and go."""
    return all(
        one[what] <= other[what] if isinstance(one[what], int) else one[what] == other[what]
        for what in one
    )

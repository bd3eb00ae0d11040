"""A storm over every framework: clients leave in every phase at random, and nothing is left.

Not a task, a thread, a file descriptor, a temporary file or a line at WARNING or above; every
request has exactly one outcome (`records`).
"""

import gc
import logging
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_disconnect import DisconnectMiddleware

from ..frameworks.apps import FRAMEWORKS, Framework
from ..frameworks.connection import RAISES
from ..frameworks.generators import left_to_be_collected
from . import more_apps
from .records import THE_SERVERS_ERROR, Records, faults
from .scripted_clients import Route, Visit

pytestmark = [
    left_to_be_collected,
    # So does Django the file of a body, when it is cancelled while it reads.
    pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.Spooled:ResourceWarning"),
    pytest.mark.timeout(3600),
]

AT_A_TIME = 50
BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "asyncio": ("asyncio", {"use_uvloop": False}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"watch_after": 0, "max_memory": 10_000},
    {"watch_after": 0.001, "max_memory": 3_000},
    {"watch_after": 0, "buffer": "whole", "max_memory": 3_000},
    {"watch_after": 0, "grace": 0.02, "max_body_size": 30_000, "body_timeout": 0.01},
    {"watch_after": 0, "grace": 0.02, "cleanup_timeout": 0},
)
"""The middleware's options; each request meets one of these."""

ROUTES = [
    Route("slow", endless=True),
    Route("stream", endless=True),
    Route("polls", endless=True),
    Route("quick"),
    Route("count"),
    Route("echo", get=False),
    Route("late", get=False),
    Route("background"),
]


@dataclass(frozen=True)
class Stage:
    """What a storm goes over."""

    name: str
    build: Callable[..., Any]
    """Takes the records and the middleware's options."""
    routes: list[Route]
    needs: str | None = None
    backends: tuple[str, ...] = ("asyncio", "trio")
    cleanup: bool = True
    """Handlers are not cancelled by anyio's task groups, which are level-triggered."""


def framework_stage(framework: Framework) -> Stage:
    return Stage(
        framework.name,
        framework.wrapped,
        [
            route
            for route in ROUTES
            if (framework.background or route.name != "background")
            and (framework.polls or route.name != "polls")
        ],
        framework.needs,
        tuple(framework.backends),
        cleanup=not framework.task_group,
    )


STAGES = [
    *map(framework_stage, FRAMEWORKS),
    Stage(
        "fastapi-threads",
        lambda records, **options: DisconnectMiddleware(
            more_apps.fastapi_with_threads(records), **options
        ),
        [Route("slow", endless=True), Route("sync"), Route("sync-stream"), Route("background")],
        "fastapi",
    ),
    Stage(
        "django",
        lambda records, **options: DisconnectMiddleware(more_apps.django(records), **options),
        [
            Route("slow", endless=True),
            Route("stream", endless=True),
            Route("sync"),
            Route("echo", get=False),
        ],
        "django",
        ("asyncio",),
        # If its listener comes when we have cancelled already, it cancels the cleanup itself.
        cleanup=False,
    ),
]

SETTINGS = [
    pytest.param(stage, backend, id=f"{stage.name}-{backend}")
    for stage in STAGES
    for backend in BACKENDS
    if BACKENDS[backend][0] in stage.backends
]


@pytest.fixture
def nothing_is_left(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """No thread, no file descriptor, no temporary file, and nothing in the log."""
    if backend == "uvloop" and find_spec("uvloop") is None:
        pytest.skip("needs uvloop")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    name, options = BACKENDS[backend]
    anyio.run(anyio.sleep, 0, backend=name, backend_options=options)  # uvloop's first keeps a pipe
    gc.collect()
    threads, descriptors = set(threading.enumerate()), open_files()
    yield
    gc.collect()
    left = [thread for thread in threading.enumerate() if thread not in threads]
    left = [thread for thread in left if not thread.name.startswith("Trio thread")]  # its cache
    for thread in left:
        thread.join(5)  # anyio's have been told to end
    assert not [thread for thread in left if thread.is_alive()]
    assert open_files() == descriptors
    assert not list(tmp_path.iterdir())
    loud = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.WARNING]
    assert not loud


def open_files() -> list[str]:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return []
    found = []
    for entry in os.listdir(folder):
        try:
            found.append(os.readlink(folder / entry))
        except FileNotFoundError:  # that of the listing itself
            continue
    return sorted(name for name in found if "/proc/" not in name)


@pytest.mark.usefixtures("nothing_is_left")
@pytest.mark.parametrize(("stage", "backend"), SETTINGS)
def test_every_request_of_a_storm_has_one_outcome_and_nothing_is_left(
    stage: Stage, backend: str, in_process: int, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    if stage.needs is not None:
        pytest.importorskip(stage.needs)
    caplog.set_level(logging.WARNING)
    name, options = BACKENDS[backend]
    requests = -(-in_process // len(SETTINGS))
    wrong = anyio.run(
        storm, stage, name == "asyncio", requests, seed, backend=name, backend_options=options
    )
    assert not wrong, f"--seed {seed}: {len(wrong)} of {requests}:\n" + "\n".join(wrong[:20])


async def storm(stage: Stage, on_asyncio: bool, requests: int, seed: int) -> list[str]:
    """What was wrong with the requests, as lines."""
    random.seed(seed)
    records = Records()
    apps = [
        records.around(stage.build(records, on_disconnect=records.reported, **options))
        for options in OPTIONS
    ]
    wrong: list[str] = []
    visits = (Visit(str(number), stage.routes, f"{seed}") for number in range(requests))
    # A visit's number says which options it meets, so that its seed repeats it.

    async def make_visits() -> None:
        for visit in visits:
            number = int(visit.key) % len(OPTIONS)
            hurries = "grace" in OPTIONS[number]
            connection = await visit.make(apps[number])
            record = records.by_key[visit.key]
            if record.ended == THE_SERVERS_ERROR and visit.manner != RAISES:
                wrong.append(f"{visit}: {connection.error!r}")
            visited[visit.key] = (visit, OPTIONS[number])
            if connection.complete and record.reports and not hurries:
                wrong.append(f"{visit}: completed, and reported: {record.reports}")
            if visit.stays and not hurries and connection.status != 200:
                wrong.append(f"{visit}: status {connection.status}")
            echoed = visit.stays and not hurries and visit.route.name in ("echo", "late")
            if echoed and connection.body != visit.body:
                wrong.append(f"{visit}: its body was not what came back")

    visited: dict[str, tuple[Visit, dict[str, Any]]] = {}
    before = set(anyio.get_running_tasks())
    async with anyio.create_task_group() as tasks:
        for _ in range(AT_A_TIME):
            tasks.start_soon(make_visits)
    with anyio.fail_after(10):
        # Quart's background tasks outlive the exchange.
        while records.running() or set(anyio.get_running_tasks()) - before:  # noqa: ASYNC110
            await anyio.sleep(0.01)
    for key, record in records.by_key.items():
        visit, options = visited[key]
        found = faults(
            record,
            visit.route.name,
            cleanup=stage.cleanup and on_asyncio and "cleanup_timeout" not in options,
            stayed=visit.stays,
            hurries="grace" in options,
        )
        wrong += (f"{visit}: {fault}: {record}" for fault in found)
    assert len(records.by_key) == requests
    assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
    return wrong

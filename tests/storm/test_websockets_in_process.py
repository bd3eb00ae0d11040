"""A storm of WebSockets over every framework: left at random moments, and nothing is left over.

One outcome for each (`records.websocket_faults`), and all that `test_in_process` looks for.
"""

import logging
import random
from typing import Any

import anyio
import pytest

from ..frameworks.apps import FRAMEWORKS, Framework
from ..frameworks.generators import left_to_be_collected
from .records import Records, websocket_faults
from .scripted_websockets import WebSocketVisit
from .test_in_process import AT_A_TIME, BACKENDS, nothing_is_left  # noqa: F401

pytestmark = [left_to_be_collected, pytest.mark.timeout(3600)]

OPTIONS: tuple[dict[str, Any], ...] = (
    {"grace": 0},
    {"grace": 0, "watch_after": 0, "max_memory": 10_000},
    {"grace": 0.005, "watch_after": 0.001},
    {"grace": 0.02, "watch_after": 0, "max_memory": 10_000},
    {"grace": 0, "watch_after": 0, "cleanup_timeout": 0},
)
"""The middleware's options; each WebSocket meets one of these."""

SETTINGS = [
    pytest.param(framework, backend, id=f"{framework.name}-{backend}")
    for framework in FRAMEWORKS
    for backend in BACKENDS
    if BACKENDS[backend][0] in framework.backends
]


@pytest.mark.usefixtures("nothing_is_left")
@pytest.mark.parametrize(("framework", "backend"), SETTINGS)
def test_every_websocket_of_a_storm_has_one_outcome_and_nothing_is_left(
    framework: Framework,
    backend: str,
    websockets: int,
    seed: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if framework.needs is not None:
        pytest.importorskip(framework.needs)
    caplog.set_level(logging.WARNING)
    # Quart logs the departures that it notices itself, bare too.
    caplog.set_level(logging.CRITICAL, logger="tests.frameworks.apps.on_quart")
    name, options = BACKENDS[backend]
    number = -(-websockets // len(SETTINGS))
    wrong = anyio.run(
        storm, framework, name == "asyncio", number, seed, backend=name, backend_options=options
    )
    assert not wrong, f"--seed {seed}: {len(wrong)} of {number}:\n" + "\n".join(wrong[:20])


async def storm(framework: Framework, on_asyncio: bool, number: int, seed: int) -> list[str]:
    """What was wrong with the WebSockets, as lines."""
    random.seed(seed)
    records = Records()
    apps = [
        records.around(
            framework.wrapped(records, websocket=True, on_disconnect=records.reported, **options)  # type: ignore[arg-type]
        )
        for options in OPTIONS
    ]
    visits = [WebSocketVisit(str(key), f"{seed}") for key in range(number)]
    left = iter(visits)

    async def make_visits() -> None:
        for visit in left:
            await visit.make(apps[int(visit.key) % len(OPTIONS)])

    before = set(anyio.get_running_tasks())
    async with anyio.create_task_group() as tasks:
        for _ in range(AT_A_TIME):
            tasks.start_soon(make_visits)
    with anyio.fail_after(10):
        while set(anyio.get_running_tasks()) - before:  # noqa: ASYNC110 - there is no event for it
            await anyio.sleep(0.01)
    wrong: list[str] = []
    for visit in visits:
        options = OPTIONS[int(visit.key) % len(OPTIONS)]
        record = records.by_key[visit.key]
        found = websocket_faults(
            record,
            visit.route,
            # Quart cancels its handlers itself, be it in their cleanup.
            cleanup=on_asyncio and "cleanup_timeout" not in options and not framework.listens,
            stayed=visit.stays,
            hurries="cleanup_timeout" in options,
            tells=not framework.listens,
        )
        wrong += (f"{visit}: {fault}: {record}" for fault in found)
    return wrong

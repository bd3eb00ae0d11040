"""A cleanup that is cut off, and a cancellation that is swallowed, are seen in whatever task."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .environment import environment

SCRIPT = Path(__file__).parent / "served" / "followed.py"


@pytest.fixture(scope="module")
def told() -> Any:
    """What was told of each function that was cancelled so often."""
    ran = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def line_of(code: str, after: str) -> int:
    """The line of the script that has `code`, the first after the one that has `after`."""
    lines = SCRIPT.read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if after in line)
    return next(n + 1 for n in range(start, len(lines)) if lines[n].strip() == code)


@pytest.mark.parametrize(
    ("case", "function", "code"),
    [
        ("cleanup_in_finally 2", "cleanup_in_finally", "await asyncio.sleep(0.2)"),
        ("cleanup_of_a_context_manager 2", "resource", "await asyncio.sleep(0.2)"),
        ("cleanup_in_aexit 2", "cleanup_in_aexit", "async with Resource():"),
        ("cleanup_of_a_generator 2", "pieces", "await asyncio.sleep(0.2)"),
        ("cleanup_in_a_child 1", "cleanup_in_finally", "await asyncio.sleep(0.2)"),
        ("cleanup_in_a_group_in_a_task 1", "cleanup_in_finally", "await asyncio.sleep(0.2)"),
        (
            "cleanup_that_uses_a_group 2",
            "cleanup_that_uses_a_group",
            "async with anyio.create_task_group() as group:",
        ),
        (
            "cleanup_that_cancels_a_child 2",
            "cleanup_that_cancels_a_child",
            "await asyncio.sleep(0.1)",
        ),
        (
            "cleanup_that_is_raised_again 2",
            "cleanup_that_is_raised_again",
            "await asyncio.sleep(0.2)",
        ),
    ],
)
def test_a_cleanup_that_is_cut_off_is_named_and_where(
    told: Any, case: str, function: str, code: str
) -> None:
    line = line_of(code, f"def {function}(")
    assert told[case] == {"cut_off": [f"{function} (followed.py:{line})"]}


@pytest.mark.parametrize(
    "case",
    [
        "cleanup_in_finally 1",
        "cleanup_of_a_context_manager 1",
        "cleanup_in_aexit 1",
        "cleanup_of_a_generator 1",
        "cleanup_in_a_group_of_asyncio 1",
        "cleanup_that_uses_a_group 1",
        "cleanup_that_cancels_a_child 1",
        "cleanup_that_is_raised_again 1",
        "cleanup_with_timeouts 1",
        "awaits_a_child_that_is_cancelled 0",
    ],
)
def test_a_cleanup_that_is_finished_is_not_named(told: Any, case: str) -> None:
    assert told[case] == {}


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("goes_on", "except asyncio.CancelledError:"),
        ("suppresses", "with contextlib.suppress(asyncio.CancelledError):"),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_a_swallowed_cancellation_is_named_and_where(
    told: Any, function: str, code: str, count: int
) -> None:
    line = line_of(code, f"def {function}(")
    assert told[f"{function} {count}"] == {"swallowed": [f"{function} (followed.py:{line})"]}


def test_nothing_is_remembered_of_what_has_ended(told: Any) -> None:
    assert told["remembered"] == 0

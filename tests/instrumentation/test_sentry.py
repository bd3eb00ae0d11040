"""The hook for Sentry: the tests are in `with_sentry.py`."""

import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).with_name("with_sentry.py")


def test_abandoned_requests_are_no_errors_to_sentry_and_bugs_are() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS)]
    root = TESTS.parents[2]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=50)
    assert run.returncode == 0, run.stdout + run.stderr

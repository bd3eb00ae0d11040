"""Writes down how each test ends: a pytest plugin, and the same for unittest.

(PYTEST_DONT_REWRITE: it may be loaded before pytest looks at it.)
"""

import functools
import json
import os
import signal
from typing import Any
from unittest import TextTestResult


def write(test: str, outcome: str) -> None:
    with open(os.environ["TRANSPARENCY_OUTCOMES"], "a") as file:
        file.write(json.dumps([test, outcome]) + "\n")


# pytest


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or report.outcome != "passed":
        write(report.nodeid, report.outcome)


def pytest_collectreport(report: Any) -> None:
    if report.outcome == "failed":
        write(report.nodeid, "failed")


# unittest

METHODS = {
    "addSuccess": "passed",
    "addFailure": "failed",
    "addError": "failed",
    "addUnexpectedSuccess": "failed",
    "addSkip": "skipped",
    "addExpectedFailure": "skipped",
}


def watch_unittest(timeout: int) -> None:
    """Write down what unittest's runner reports, and give each test `timeout` seconds."""

    def patch(method: str, outcome: str) -> None:
        original = getattr(TextTestResult, method)

        @functools.wraps(original)
        def patched(self: Any, test: Any, *args: Any) -> Any:
            write(test.id(), outcome)
            return original(self, test, *args)

        setattr(TextTestResult, method, patched)

    for method, outcome in METHODS.items():
        patch(method, outcome)

    add_subtest = TextTestResult.addSubTest
    start, stop = TextTestResult.startTest, TextTestResult.stopTest

    def addSubTest(self: Any, test: Any, subtest: Any, error: Any) -> Any:
        if error is not None:
            write(test.id(), "failed")
        return add_subtest(self, test, subtest, error)

    def startTest(self: Any, test: Any) -> Any:
        signal.alarm(timeout)
        return start(self, test)

    def stopTest(self: Any, test: Any) -> Any:
        signal.alarm(0)
        return stop(self, test)

    def out_of_time(*_: Any) -> None:
        raise TimeoutError("the test took too long")

    TextTestResult.addSubTest = addSubTest  # type: ignore[assignment]
    TextTestResult.startTest = startTest  # type: ignore[method-assign]
    TextTestResult.stopTest = stopTest  # type: ignore[method-assign]
    signal.signal(signal.SIGALRM, out_of_time)


if "TRANSPARENCY_UNITTEST" in os.environ:
    watch_unittest(int(os.environ["TRANSPARENCY_UNITTEST"]))

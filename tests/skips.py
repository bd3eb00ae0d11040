"""Which tests may be skipped where everything that they need is installed, and why.

With ``--complete`` any other skip fails: a driver, a server or a browser that is missing makes the
suite smaller, and nobody would notice.  ``NOTHING_MISSING=1 nox -s tests`` passes it on.
"""

from collections.abc import Generator
from typing import Final, cast

import pytest

ON_PRINCIPLE: Final = (
    # What a server, a framework or a protocol does not do, so that there is nothing to test.
    "HTTP/1 has one request at a time",
    "HTTP/2 has no pipelines",
    "HTTP/2 has none",
    "a reset may overtake what was sent before it",
    "granian falls back to asyncio's tasks",
    "granian runs its own tasks",
    "it calls asyncio.gather()",
    "it has the whole body when it calls the app",
    "it is answered if the client's reply has come by then, and raises if not",
    "nothing, if the client's reply has come by then; else it raises",
    "on trio, cleanup that awaits shields itself",
    "the app is called when the body is complete",
    "the app is called when the body is complete, or there is no such header",
    "the body's length is declared, or all of it is there before the app is called",
    "the server does not do it",
    "the server does not report it",
    "the server holds nobody back, and keeps it all itself",
    "the server's `send` does nothing",
    "the server's `send` tells it",
    "there are no chunks in HTTP/2",
    "what it raises when we know already may come together with our cancellation",
    # What needs another version, of which one is tested as well.
    "Django 4.2 has no async receivers",
    "Django 4.2 is cancelled, not told",
    "Django 4.2 is not told, and needs a handler of its own",
    "Django 4.2 reads nothing after the body",
    "Django 5 leaves tasks behind when it is cancelled from outside, bare too",
    "Django before 5.1 has no pools",
    "Starlette leaves no route in the scope",
    "anyio below 4.14 has no scope around each task of a group",
    "needs anyio 4.14",
    "not installed: needs Python 3.12",
    "new in Python 3.12",
    "only Django 4.2 cannot be told",
    "the reference guard cannot",
    # What has a session of its own.
    "only `nox -s checked` installs fastmcp",
)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_incomplete(report, collector.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_incomplete(report, item.config)
    return report


def _fail_if_incomplete(
    report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
) -> None:
    if not (report.skipped and config.getoption("--complete")) or hasattr(report, "wasxfail"):
        return
    _, _, message = cast(tuple[str, int, str], report.longrepr)
    reason = message.removeprefix("Skipped: ")
    if reason not in ON_PRINCIPLE:
        report.outcome = "failed"
        report.longrepr = f"skipped, for a reason that is not in tests/skips.py: {reason}"

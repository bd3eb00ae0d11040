"""Is the middleware transparent?  Ask the test suites of Starlette, FastAPI and Django.

    python tests/transparency/run.py [--mode http|websocket] [SUITE ...]

Runs each suite as it is, and again with every application in it inside `DisconnectMiddleware`:
once as it comes, and once with `websocket=True` if the suite has WebSockets.  It names the tests
that pass as they are and fail inside.  Each of those is run once more, both ways, and forgiven if
it passes then.  Ends with status 1 if a test is left that fails for the middleware, or if too
little was wrapped for the run to prove anything.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from environment import Environment, NoInterpreter, prepare
from suites import SUITES, Suite

TEST_TIMEOUT = 15
"""Seconds for a test: a middleware that is wrong hangs many."""
RUN_TIMEOUT = 1800
"""Seconds for a run; what has not been run then has failed."""
MOST_TO_RETRY = 100
MOST_TO_NAME = 50

MODES: dict[str, dict[str, object]] = {"http": {}, "websocket": {"websocket": True}}
"""What is guarded, and the middleware's options for it."""


@dataclass(frozen=True)
class Run:
    """What came of running a suite."""

    outcomes: dict[str, str]
    """By test: passed, failed or skipped."""
    calls: "Counter[str]"
    """Calls of an application that were wrapped, by the type of their scope."""
    seconds: float
    log: Path

    @property
    def passed(self) -> set[str]:
        return {test for test, outcome in self.outcomes.items() if outcome == "passed"}

    def __str__(self) -> str:
        tally = Counter(self.outcomes.values())
        counts = ", ".join(f"{tally[kind]} {kind}" for kind in ("passed", "failed", "skipped"))
        return f"{counts} ({self.seconds:.0f} s)"


class Tests:
    """A suite in its environment."""

    def __init__(self, suite: Suite, environment: Environment, options: dict[str, object]) -> None:
        self._suite = suite
        self._environment = environment
        self._options = options

    def run(self, tests: Iterable[str], *, mode: str | None = None, again: bool = False) -> Run:
        """Run them as they are, or inside the middleware in that mode."""
        with tempfile.TemporaryDirectory() as scratch:
            outcomes, calls = Path(scratch, "outcomes"), Path(scratch, "calls")
            outcomes.touch()
            calls.touch()
            log = self._environment.home / (
                f"{f'wrapped-{mode}' if mode else 'plain'}{'-again' if again else ''}.log"
            )
            variables = {
                "TRANSPARENCY_OUTCOMES": str(outcomes),
                "TRANSPARENCY_CALLS": str(calls),
                "PATH": os.pathsep.join([str(self._environment.python.parent), os.environ["PATH"]]),
            }
            if mode:
                options = self._options | MODES[mode]
                variables["TRANSPARENCY_OPTIONS"] = json.dumps(options)
            if self._suite.django:
                variables["TRANSPARENCY_UNITTEST"] = str(TEST_TIMEOUT)
            begin = time.monotonic()
            with log.open("w") as output:
                try:
                    subprocess.run(
                        [str(self._environment.python), *self._arguments(), *tests],
                        cwd=self._environment.source / ("tests" if self._suite.django else ""),
                        env={**_inherited(), **variables},
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        timeout=RUN_TIMEOUT,
                    )
                except subprocess.TimeoutExpired as expired:
                    print(f"  given up: {expired}")
            seconds = time.monotonic() - begin
            return Run(_outcomes(outcomes), _calls(calls), seconds, log)

    def _arguments(self) -> list[str]:
        if self._suite.django:
            return ["runtests.py", "--parallel=1", "--noinput"]
        return [
            *("-m", "pytest", "-q", "--tb=short", "-p", "outcomes", "-p", "no:cacheprovider"),
            *("-o", "addopts=", "--continue-on-collection-errors", f"--timeout={TEST_TIMEOUT}"),
        ]


def _inherited() -> dict[str, str]:
    """What the suite inherits: nothing that leads it to another Python's packages."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def _outcomes(file: Path) -> dict[str, str]:
    outcomes: dict[str, str] = {}
    for line in file.read_text().splitlines():
        test, outcome = json.loads(line)
        if outcomes.get(test) != "failed":
            outcomes[test] = outcome
    return outcomes


def _calls(file: Path) -> "Counter[str]":
    calls: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        calls.update(json.loads(line))
    return calls


def is_transparent(
    name: str, cache: Path, options: dict[str, object], modes: Iterable[str]
) -> bool:
    """Run the suite of that name, and print what came of it."""
    suite = SUITES[name]
    print(f"\n{name}: {suite.sdist}", flush=True)
    try:
        environment = prepare(name, suite, cache)
    except NoInterpreter as error:
        print(f"  skipped: {error}")
        return True
    except subprocess.CalledProcessError as error:
        print(f"  could not be prepared: {error}")
        return False
    tests = Tests(suite, environment, options)
    plain = tests.run(suite.tests)
    print(f"  plain: {plain}", flush=True)
    if not plain.passed:
        show_end_of_log(plain)
        return False
    verdicts = [_is_transparent(suite, tests, plain, mode) for mode in modes]
    return all(verdicts)


def _is_transparent(suite: Suite, tests: Tests, plain: Run, mode: str) -> bool:
    wrapped = tests.run(suite.tests, mode=mode)
    print(f"  wrapped, {mode}: {wrapped}")
    counts = ", ".join(f"{count} {kind}" for kind, count in wrapped.calls.most_common())
    print(f"    calls: {counts or 'none'}")
    if not wrapped.passed:
        show_end_of_log(wrapped)
        return False
    if wrapped.calls[mode] < suite.fewest_calls[mode]:
        print(f"    PROVES NOTHING: {suite.fewest_calls[mode]} {mode} calls are the least")
        return False

    broken = plain.passed - wrapped.passed
    reasons = suite.reasons(mode)
    expected = {test for test in broken if test.partition("[")[0] in reasons}
    broken -= expected
    flaky: set[str] = set()
    if 0 < len(broken) <= MOST_TO_RETRY:
        again = sorted(broken)
        plain_again = tests.run(again, again=True)
        wrapped_again = tests.run(again, mode=mode, again=True)
        flaky = broken - (plain_again.passed - wrapped_again.passed)
        broken -= flaky

    for title, names in (("expected", expected), ("flaky", flaky), ("BROKEN", broken)):
        for test in sorted(names)[:MOST_TO_NAME]:
            print(f"    {title}: {test}")
        if len(names) > MOST_TO_NAME:
            print(f"    {title}: {len(names) - MOST_TO_NAME} more")
    for test in {test.partition("[")[0] for test in expected}:
        print(f"    ({test.rpartition('::')[2]}: {reasons[test]})")
    if broken:
        print(f"    see {wrapped.log}")
    return not broken


def show_end_of_log(run: Run) -> None:
    print("    NOTHING PASSED:", *run.log.read_text().splitlines()[-10:], sep="\n      ")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir(), "asgi-disconnect-transparency"),
        help="where the suites and their environments are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--mode", choices=[*MODES], help="what is guarded (default: one after the other)"
    )
    parser.add_argument(
        "--watch-after", type=float, metavar="SECONDS", help="the middleware's option"
    )
    arguments = parser.parse_args()
    for name in arguments.suites:
        if name not in SUITES:
            parser.error(f"no suite {name!r}, only {', '.join(SUITES)}")
    asked = [arguments.mode] if arguments.mode else [*MODES]
    suites = {
        name: [mode for mode in asked if mode in suite.fewest_calls]
        for name, suite in SUITES.items()
        if not arguments.suites or name in arguments.suites
    }
    options: dict[str, object] = {}
    if arguments.watch_after is not None:
        options["watch_after"] = arguments.watch_after
    cache = arguments.cache.resolve()
    verdicts = [
        is_transparent(name, cache, options, modes) for name, modes in suites.items() if modes
    ]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())

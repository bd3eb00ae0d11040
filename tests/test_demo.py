"""The demo that the README starts with: its numbers are measured, and are those to be expected."""

import os
import re
import subprocess
import sys

import pytest

from asgi_disconnect._demo.screen import Progress

from .interrupting import interrupt

DEMO = (sys.executable, "-m", "asgi_disconnect", "demo")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def shown() -> list[str]:
    """What a run of the demo prints into a pipe, line by line; it runs for all of this module."""
    for _ in range(3):  # a machine that is busy with other things gets another chance
        ran = subprocess.run(DEMO, capture_output=True, text=True, timeout=40)
        lines = ran.stdout.splitlines()
        if ran.returncode == 0 and saves_work(lines):
            break
    assert (ran.returncode, ran.stderr) == (0, "")
    return lines


def saves_work(shown: list[str]) -> bool:
    without, guarded = map(float, row(shown, "seconds of work done for nobody"))
    return guarded < without / 10


def row(shown: list[str], label: str) -> list[str]:
    (line,) = (line for line in shown if line.startswith(label))
    return re.findall(r"\d+(?:\.\d+)?(?: of \d+)?", line[len(label) :])


def test_both_servers_are_asked_the_same(shown: list[str]) -> None:
    assert row(shown, "requests") == ["18", "18"]
    assert row(shown, "abandoned by their clients") == ["12", "12"]


def test_clients_that_stay_are_answered(shown: list[str]) -> None:
    assert row(shown, "answered") == ["6", "6"]


def test_the_middleware_saves_the_work_that_is_done_for_nobody(shown: list[str]) -> None:
    without, _ = map(float, row(shown, "seconds of work done for nobody"))
    assert without > 20
    assert saves_work(shown)


def test_with_the_middleware_no_handler_outlives_its_client(shown: list[str]) -> None:
    without, guarded = map(int, row(shown, "handlers still running after the last client left *"))
    assert without > 0
    assert guarded == 0


def test_every_cleanup_runs_to_its_end(shown: list[str]) -> None:
    assert row(shown, "cleanup run") == ["18 of 18", "18 of 18"]


def test_progress_comes_in_plain_lines_into_a_pipe(shown: list[str]) -> None:
    moving = [line for line in shown if re.match(r"with(out)? the middleware +\d\.\d s", line)]
    assert len(moving) >= 6
    assert not any("\r" in line for line in shown)


def test_progress_moves_in_one_line_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    progress = Progress("without")
    progress.show(0.1, for_clients=3, for_nobody=12)
    progress.show(0.2, for_clients=0, for_nobody=2)
    progress.done(0.3)
    first, second, last = capsys.readouterr().out.removeprefix("\r").split("\r")
    assert first.rstrip().endswith("3 for clients, 12 for nobody")
    assert last.endswith("\n")
    assert len(first) == len(second) == len(last.rstrip("\n"))


@pytest.mark.skipif(os.name == "nt", reason="a signal to one process alone needs POSIX")
def test_ctrl_c_ends_the_demo_and_its_server_without_a_traceback() -> None:
    ran = interrupt(DEMO, when="handlers: #", on="stdout")
    assert (ran.returncode, ran.stderr.strip()) == (130, "")


def test_without_uvicorn_the_demo_says_what_to_install() -> None:
    hide = "import sys; sys.modules['uvicorn'] = None; from asgi_disconnect._cli import main; "
    ran = subprocess.run(
        (sys.executable, "-c", hide + "sys.exit(main(['demo']))"),
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("The demo needs uvicorn:")


@pytest.mark.parametrize("missing", ["uvicorn", "wsproto websockets"])
def test_without_what_it_needs_the_page_says_what_to_install(missing: str) -> None:
    hide = f"import sys; sys.modules.update(dict.fromkeys({missing.split()})); "
    run = "from asgi_disconnect._demo.live import run; sys.exit(run())"
    ran = subprocess.run(
        (sys.executable, "-c", hide + run),
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("The page needs uvicorn and wsproto:")


def test_help_needs_no_server() -> None:
    hide = "import sys; sys.modules['uvicorn'] = None; from asgi_disconnect._cli import main; "
    ran = subprocess.run(
        (sys.executable, "-c", hide + "main(['--help'])"),
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert ran.returncode == 0
    assert "demo" in ran.stdout

"""`check` names what is wrong with an app, on a real server."""

import json
from importlib.util import find_spec
from typing import Any

import pytest

from ..conftest import cleanup_in_groups_finishes
from .environment import INSTALLED, SERVED, check

pytestmark = [
    pytest.mark.skipif("uvicorn" not in INSTALLED, reason="needs uvicorn"),
    pytest.mark.skipif(not find_spec("fastapi"), reason="needs FastAPI"),
]
wsgi = pytest.mark.skipif(not find_spec("a2wsgi"), reason="needs a2wsgi")


def on_uvicorn(*arguments: str, patience: str = "1") -> Any:
    ran = check(*arguments, "--server", "uvicorn", "--patience", patience)
    said = " ".join(ran.stdout.split())
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "watch" not in said  # our own task
    return ran.returncode, said, ran.stderr


def place(function: str, code: str, file: str = "faulty.py") -> str:
    """How the line `code` of a function is named."""
    lines = (SERVED / file).read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if f"def {function}(" in line)
    line = next(n + 1 for n in range(start, len(lines)) if lines[n].strip() == code)
    return f"{function} ({file}:{line})"


@pytest.mark.parametrize(
    ("app", "path", "moment", "function"),
    [
        ("cuts_off", "/cleans-up", "before response", "cleans_up"),
        ("cuts_off", "/stream", "during response", "pieces"),
        ("cuts_off_late", "/cleans-up", "before response", "cleans_up"),
        ("app", "/in-a-group-of-its-own", "before response", "cleans_up"),
    ],
)
def test_cleanup_that_is_cut_off_is_named_and_where(
    app: str, path: str, moment: str, function: str
) -> None:
    status, said, _ = on_uvicorn(f"faulty:{app}", "--path", path)
    assert status == 1
    assert f"{moment}: cleanup was cut off in {place(function, 'await give_back()')}" in said
    assert "everything is as it should be" not in said
    if app == "cuts_off_late":
        assert "cleanup_timeout is 0.1 s" in said


@pytest.mark.skipif(not cleanup_in_groups_finishes(), reason="needs anyio 4.14")
@pytest.mark.parametrize("path", ["/cleans-up", "/stream"])
def test_cleanup_that_has_its_time_is_not_called_cut_off(path: str) -> None:
    status, said, _ = on_uvicorn("faulty:behind_a_middleware", "--path", path)
    assert (status, "cleanup was cut off" in said) == (0, False), said


def test_who_swallows_the_cancellation_is_named_and_where() -> None:
    status, said, _ = on_uvicorn("faulty:app", "--path", "/swallows")
    assert status == 1
    where = place("swallows", "except BaseException:")
    assert f"{where} swallowed the cancellation, and the app still ran 1 s later" in said
    assert "neither told nor cancelled" not in said
    assert "tasks left over: 0" in said


def test_what_runs_in_a_thread_is_named() -> None:
    status, said, _ = on_uvicorn("faulty:app", "--path", "/in-a-thread")
    assert status == 1
    assert "because it runs in a thread, which cannot be cancelled:" in said
    assert place("in_a_thread", "time.sleep(2)") in said
    assert "neither told nor cancelled" not in said
    assert "tasks left over: 0" in said


def test_a_thread_that_ends_within_the_patience_is_named_too() -> None:
    status, said, _ = on_uvicorn("faulty:app", "--path", "/in-a-thread", patience="3")
    assert status == 1
    assert "because it runs in a thread, which cannot be cancelled:" in said


def test_what_blocks_the_event_loop_is_named() -> None:
    status, said, _ = on_uvicorn("faulty:app", "--path", "/blocks", patience="3")
    assert status == 1
    assert "blocks the event loop in blocks (faulty.py:" in said


def test_who_hides_the_disconnect_is_named() -> None:
    status, said, _ = on_uvicorn("faulty:hiding", "--path", "/sound")
    assert status == 1
    assert "faulty.Hiding stands outside DisconnectMiddleware and hides" in said
    assert "before response: the app was neither told nor cancelled" in said


@wsgi
def test_a2wsgi_is_named() -> None:
    status, said, _ = on_uvicorn("on_wsgi:in_a2wsgi")
    assert status == 1
    assert "a2wsgi is cancelled and its thread runs on" in said


def test_a_patience_that_is_shorter_than_what_the_app_has_is_said() -> None:
    status, said, _ = on_uvicorn("faulty:app", "--path", "/cleans-up-long")
    assert status == 1
    assert "the app still ran 1 s later, in cleans_up_long (faulty.py:" in said
    assert "cleanup_timeout gives it 10 s to end, which is longer than the patience" in said
    assert "--patience 12" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "POST", "--path", "/nope"), ["POST /nope answers 404 Not Found"]),
        (("--path", "/items"), ["GET /items answers 405 Method Not Allowed", "allows POST"]),
        (
            ("--path", "/items", "--data", '{"nam": 3}'),
            ["answers 422", "'Content-Type: application/json'", 'It says: {"detail":'],
        ),
        (
            ("--path", "/quick", "--data", "x"),
            ["POST /quick answers 200 within", "there is nothing to abandon"],
        ),
    ],
)
def test_a_request_that_makes_no_work_is_not_called_sound(
    arguments: tuple[str, ...], said: list[str]
) -> None:
    status, out, error = on_uvicorn("faulty:app", *arguments)
    assert (status, out) == (2, "")
    assert all(each in error for each in said), error


def test_a_body_that_fits_is_sound() -> None:
    content = ("--header", "content-type: application/json")
    status, said, _ = on_uvicorn(
        "faulty:app", "--path", "/items", "--data", '{"name": "a"}', *content
    )
    assert status == 0, said


@pytest.mark.parametrize("path", ["/complains-of-many", "/refuses-many"])
def test_a_limit_of_the_app_s_own_is_not_the_middleware_s_fault(path: str) -> None:
    status, said, _ = on_uvicorn("faulty:app", "--path", path)
    assert status == 0, said


def test_what_is_logged_each_time_is_a_difference() -> None:
    status, said, _ = on_uvicorn("faulty:app", "--path", "/complains-of-departures")
    assert status == 1
    assert "2 more lines logged than without: ERROR:root:it has been cancelled" in said


@pytest.mark.parametrize("app", ["make_app", "make_app_from"])
def test_a_factory_without_its_option_is_told_of_in_one_line(app: str) -> None:
    status, out, error = on_uvicorn(f"faulty:{app}", "--path", "/sound")
    assert (status, out) == (2, "")
    (line,) = error.splitlines()
    assert line.endswith("if it is a function that returns the app, use --factory")


def test_an_app_that_is_no_factory_is_told_of_in_one_line() -> None:
    status, _, error = on_uvicorn("faulty:app", "--factory")
    assert status == 2
    (line,) = error.splitlines()
    assert line.endswith("if it is the app, leave out --factory")


def test_json_says_it_too() -> None:
    ran = check(
        *("faulty:app", "--path", "/in-a-group-of-its-own", "--json"),
        *("--server", "uvicorn", "--patience", "2"),
    )
    (server,) = json.loads(ran.stdout)["servers"]
    (departure,) = server["guarded"]["departures"]
    assert departure["cut_off"] == [place("cleans_up", "await give_back()")]

"""`check` on real servers: a sound app passes on each, and what is wrong with another is named."""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from asgi_disconnect._check import App, Request, Wanted, run
from asgi_disconnect._check.request import Stay
from asgi_disconnect._check.visits import Visits

from ..interrupting import interrupt
from .environment import INSTALLED, SERVED, check, environment

uvicorn = pytest.mark.skipif("uvicorn" not in INSTALLED, reason="needs uvicorn")


def departures(half: Any) -> dict[str, Any]:
    return {each["moment"]: each for each in half["departures"]}


@pytest.mark.skipif(not INSTALLED, reason="no server is installed")
def test_an_app_is_sound_on_every_server_that_is_installed() -> None:
    started = time.monotonic()
    ran = check("checked:app", "--data", "abcdefgh", "--patience", "3", "--json")
    assert time.monotonic() - started < 60
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert [server["name"] for server in told["servers"]] == INSTALLED
    assert not told["guarded"]
    for server in told["servers"]:
        without, guarded = departures(server["without"]), departures(server["guarded"])
        assert without.keys() == guarded.keys()
        assert not without["before response"]["told"]
        assert not without["before response"]["cancelled"]
        assert without["before response"]["ran_on"] > 0.5
        for moment in ("before response", "during response"):
            assert guarded[moment]["cancelled"], (server["name"], moment)
            assert guarded[moment]["ran_on"] < 0.5
        assert guarded["mid-upload"]["called"] == (server["name"] != "daphne")
        assert guarded["mid-upload"]["told"] == (server["name"] != "daphne")
        assert guarded["after response"]["ran_on"] > 0.2
        assert not guarded["after response"]["cut_short"]
        assert server["guarded"]["logged"] == server["guarded"]["left_over"] == []
    for name in INSTALLED:
        assert f"{name} with: leaving" in ran.stderr.splitlines()


@uvicorn
def test_a_table_says_so_too() -> None:
    ran = check("checked:make", "--factory", "--server", "uvicorn", "--patience", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "With the middleware everything is as it should be." in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 100
    assert "survived" in ran.stdout


@uvicorn
def test_a_uvicorn_that_reports_wrongly_is_warned_of_and_checked_all_the_same(
    tmp_path: Path,
) -> None:
    """It is told by what is installed; here that only says so."""
    (tmp_path / "uvicorn-0.44.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: uvicorn\nVersion: 0.44.0\n"
    (tmp_path / "uvicorn-0.44.0.dist-info" / "METADATA").write_text(metadata)
    ran = check("checked:app", "--server", "uvicorn", "--patience", "2", also_at=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = " ".join(ran.stdout.split())
    assert "Warning: uvicorn 0.44.0 says at SIGTERM that clients have left who are still" in said
    assert "Use 0.45 or newer: python -m pip install --upgrade uvicorn" in said
    assert "Apart from that, with the middleware everything is as it should be." in said
    assert max(map(len, ran.stdout.splitlines())) <= 100


@uvicorn
def test_a_handler_that_uses_its_disconnect_is_checked_as_it_is() -> None:
    ran = check("checked:guarded", "--server", "uvicorn", "--patience", "2", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (server,) = json.loads(ran.stdout)["servers"]
    assert not departures(server["without"])["before response"]["cancelled"]
    assert departures(server["without"])["before response"]["ran_on"] > 0.5
    assert departures(server["guarded"])["before response"]["cancelled"]


@uvicorn
@pytest.mark.skipif(not find_spec("starlette"), reason="needs starlette")
def test_a_base_http_middleware_outside_ours_is_named() -> None:
    ran = check("checked:hidden", "--server", "uvicorn", "--patience", "2")
    assert ran.returncode == 1
    assert "BaseHTTPMiddleware (checked.timing) stands outside" in ran.stdout
    assert "uvicorn: " in ran.stdout


@uvicorn
def test_any_middleware_outside_ours_that_hides_the_disconnect_is_named() -> None:
    ran = check("checked:swallowing", "--server", "uvicorn", "--patience", "2")
    assert ran.returncode == 1
    assert "checked.Swallowing stands outside DisconnectMiddleware and hides" in ran.stdout
    assert "before response: the app was neither told nor cancelled" in ran.stdout


@uvicorn
@pytest.mark.skipif(not find_spec("starlette"), reason="needs starlette")
def test_of_several_middlewares_outside_ours_the_one_that_hides_it_is_named() -> None:
    ran = check("checked:both", "--server", "uvicorn", "--patience", "2", "--json")
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["hidden_by"] == ["checked.Swallowing"]


@uvicorn
def test_a_task_that_is_left_over_is_named() -> None:
    ran = check("checked:leaves_a_task", "--server", "uvicorn", "--patience", "2")
    assert ran.returncode == 1
    assert "tasks left over: sleep" in ran.stdout


@uvicorn
def test_an_app_that_fails_for_whoever_stays_is_not_called_sound() -> None:
    ran = check("checked:failing", "--server", "uvicorn")
    assert ran.returncode == 2
    assert "the app raised LookupError('no such thing'), though its client stayed" in ran.stdout


@uvicorn
def test_an_app_that_answers_at_once_has_nothing_to_abandon() -> None:
    ran = check("checked:app", "--path", "/quick", "--server", "uvicorn")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "GET /quick answers 200 within" in ran.stderr
    assert "there is nothing to abandon. Choose a path" in ran.stderr


def test_an_app_that_cannot_be_imported() -> None:
    ran = check("nothing:app")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("asgi_disconnect check: there is no module 'nothing' in")


@uvicorn
def test_a_request_that_does_not_reach_the_app_is_not_called_sound() -> None:
    ran = check("checked:app", "--header", "a b: c", "--server", "uvicorn", "--patience", "1")
    assert ran.returncode == 2
    assert "it answers 'HTTP/1.1 400 Bad Request' without calling the app" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--path", "slow"), "'slow' is not a path"),
        (("--path", "/slow now"), "'/slow now' is not a path"),
        (("--header", "accept"), "'accept' is not a header"),
        (("--header", "a: b\r\nc: d"), "is not a header"),
    ],
)
def test_a_request_that_is_none_is_refused(arguments: tuple[str, ...], said: str) -> None:
    ran = check("checked:app", *arguments)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_a_body_that_cannot_be_read() -> None:
    ran = check("checked:app", "--data", "@nothing")
    assert ran.returncode == 2
    assert "nothing" in ran.stderr


WANTED: dict[str, Any] = {
    "app": App("checked:app", str(SERVED)),
    "request": Request("GET", "/"),
}


def test_a_server_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "daphne", None)  # find_spec() says then that it is not there
    assert run(Wanted(servers=("daphne",), **WANTED)) == 2
    assert "python -m pip install --upgrade daphne" in capsys.readouterr().err


@uvicorn
def test_a_check_that_is_held_up_until_the_response_is_complete_visits_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a busy machine: nothing was abandoned then, so nothing is to be said of the app."""
    leave_late, connected = Visits._leave_late, Visits._connected
    visits: list[Visits] = []

    async def count_visits(self: Visits, stay: Stay) -> str:
        visits.append(self)
        return await leave_late(self, stay)

    @contextlib.asynccontextmanager
    async def leave_too_late_once(self: Visits) -> AsyncGenerator[Any]:
        async with connected(self) as connection:
            yield connection
            if visits.count(self) == 1:
                visits.append(self)
                time.sleep(0.9)  # noqa: ASYNC251 - the response takes 0.6 s more

    monkeypatch.setattr(Visits, "_leave_late", count_visits)
    monkeypatch.setattr(Visits, "_connected", leave_too_late_once)
    assert run(Wanted(servers=("uvicorn",), patience=3.0, **WANTED)) == 0
    assert "With the middleware everything is as it should be." in capsys.readouterr().out
    assert min(map(visits.count, visits)) >= 3  # once more in either half


@uvicorn
def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(Wanted(servers=("uvicorn",), port=port, **WANTED)) == 2
    assert f"port {port} is in use" in capsys.readouterr().err


@uvicorn
@pytest.mark.skipif(os.name == "nt", reason="a signal to one process alone needs POSIX")
def test_ctrl_c_ends_it_and_its_servers() -> None:
    ran = interrupt(
        [sys.executable, "-m", "asgi_disconnect", "check", "checked:app", "--server", "uvicorn"],
        when="staying",
        on="stderr",
        cwd=SERVED,
        env=environment(),
    )
    assert (ran.returncode, ran.stdout) == (130, "")
    assert "Traceback" not in ran.stderr

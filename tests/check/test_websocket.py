"""`check --websocket` shows what becomes of a WebSocket's handler when its client leaves."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from asgi_disconnect._check.findings import UNGUARDED, Checked, Departure, Half

from .environment import INSTALLED, check

client = pytest.mark.skipif(not find_spec("websockets"), reason="needs websockets")
uvicorn = pytest.mark.skipif("uvicorn" not in INSTALLED, reason="needs uvicorn")
BY = ("by close", "by reset")


def check_websocket(app: str, path: str, *more: str) -> "subprocess.CompletedProcess[str]":
    return check(
        *(f"pushing:{app}", "--websocket", path, "--server", "uvicorn"),
        *("--patience", "2", *more),
    )


def halves(ran: "subprocess.CompletedProcess[str]") -> tuple[dict[str, Any], dict[str, Any]]:
    (server,) = json.loads(ran.stdout)["servers"]
    without, guarded = (
        {each["moment"]: each for each in server[half]["departures"]}
        for half in ("without", "guarded")
    )
    return without, guarded


def shortcomings(departure: Departure) -> list[str]:
    return Checked("s", "1", Half(), Half((departure,))).shortcomings(5.0)


def test_an_end_within_grace_is_no_shortcoming() -> None:
    assert shortcomings(Departure("by close", ran_on=3.0, time_left=("grace", 10.0))) == []
    neither = ["by close: the app was neither told nor cancelled"]
    assert shortcomings(Departure("by close", ran_on=3.0, time_left=("grace", 1.0))) == neither
    assert shortcomings(Departure("by close", ran_on=3.0)) == neither


def test_a_request_has_no_such_time() -> None:
    found = shortcomings(Departure("before response", ran_on=3.0, time_left=("grace", 10.0)))
    assert found == ["before response: the app was neither told nor cancelled"]


def test_a_patience_shorter_than_grace_is_named() -> None:
    (said,) = shortcomings(Departure("by reset", ran_on=None, time_left=("grace", 10.0)))
    assert "grace gives it 10 s" in said
    assert said.endswith("--patience 12")


def test_a_middleware_that_leaves_websockets_alone_is_the_one_shortcoming() -> None:
    assert shortcomings(Departure("by close", ran_on=None, unguarded=True)) == [UNGUARDED]


@client
@pytest.mark.skipif(not INSTALLED, reason="no server is installed")
def test_on_every_server_a_handler_that_only_pushes_stops() -> None:
    ran = check("pushing:guarded", "--websocket", "/push", "--patience", "2", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert told["request"] == "WebSocket /push"
    assert [server["name"] for server in told["servers"]] == INSTALLED
    for server in told["servers"]:
        guarded = {each["moment"]: each for each in server["guarded"]["departures"]}
        assert tuple(guarded) == BY
        for each in guarded.values():
            assert each["told"] or each["cancelled"], server["name"]
            assert each["ran_on"] < 1
        assert server["guarded"]["logged"] == server["guarded"]["left_over"] == []


@client
@uvicorn
def test_a_handler_that_waits_for_something_to_push_is_cancelled() -> None:
    ran = check_websocket("app", "/wait", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    without, guarded = halves(ran)
    for by in BY:
        assert not without[by]["told"]
        assert not without[by]["cancelled"]
        assert without[by]["ran_on"] is None
        assert guarded[by]["cancelled"]
        assert guarded[by]["ran_on"] < 2


@client
@uvicorn
def test_a_handler_that_listens_is_told() -> None:
    ran = check_websocket("guarded", "/listen", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for half in halves(ran):
        for by in BY:
            assert half[by]["told"]
            assert not half[by]["cancelled"]
            assert half[by]["ran_on"] < 0.5


@client
@uvicorn
def test_one_that_swallows_its_cancellation_is_named() -> None:
    ran = check_websocket("guarded", "/swallow")
    assert ran.returncode == 1
    said = " ".join(ran.stdout.split())
    assert "uvicorn: by close: swallow (pushing.py:" in said
    assert "swallowed the cancellation, and the app still ran 2 s later" in said


@client
@uvicorn
def test_cleanup_that_is_cut_off_is_named() -> None:
    ran = check_websocket("cut_off", "/clean")
    assert ran.returncode == 1
    assert "uvicorn: by reset: cleanup was cut off in clean (pushing.py:" in ran.stdout


@client
@uvicorn
def test_work_after_the_apps_own_close_survives() -> None:
    ran = check_websocket("guarded", "/close", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for half in halves(ran):
        assert half["after close"]["ran_on"] > 0.2
        assert not half["after close"]["cut_short"]


@client
@uvicorn
def test_messages_are_sent_as_text_or_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    data = ("--data", "begin", "--data", f"@{tmp_path / 'bytes'}")
    ran = check_websocket("app", "/asked", *data, "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    _, guarded = halves(ran)
    assert guarded["by close"]["cancelled"]


@client
@uvicorn
def test_headers_are_sent_and_subprotocols_offered() -> None:
    protocols = ("--header", "Sec-WebSocket-Protocol: ours, others")
    host = ("--header", "Host: example.org")
    ran = check_websocket("guarded", "/protocol", *protocols, *host, "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@client
@uvicorn
def test_a_handler_that_uses_its_disconnect_is_checked_as_it_is() -> None:
    ran = check_websocket("guarded", "/told", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    without, guarded = halves(ran)
    assert without["by close"]["ran_on"] is None
    assert guarded["by close"]["cancelled"]


@client
@uvicorn
@pytest.mark.parametrize(("path", "status"), [("/wait", 1), ("/told", 2)])
def test_an_app_wrapped_without_the_option_is_told_its_name(path: str, status: int) -> None:
    ran = check_websocket("leaves_websockets_alone", path)
    assert ran.returncode == status
    assert "DisconnectMiddleware(app, websocket=True)" in " ".join(ran.stdout.split())


@client
@uvicorn
def test_a_middleware_outside_ours_that_hides_the_disconnect_is_named() -> None:
    ran = check_websocket("swallowing", "/wait")
    assert ran.returncode == 1
    assert "pushing.Swallowing stands outside DisconnectMiddleware and hides" in ran.stdout


@client
@uvicorn
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/nowhere", "WebSocket /nowhere answers 403 Forbidden: it is not accepted. Is the path"),
        ("/denied", "answers 401 Unauthorized: it is not accepted. It says: who are you?"),
        ("/silent", "WebSocket /silent is neither accepted nor denied within 2 s."),
        ("/brief", "with 'no' and close code 4004 'no such room': there is nothing to abandon."),
    ],
)
def test_one_that_does_not_open_shows_nothing(path: str, said: str) -> None:
    ran = check_websocket("guarded", path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr


def test_the_library_is_asked_for_where_it_is_too_old(tmp_path: Path) -> None:
    """It is told by what is installed; here that only says so."""
    (tmp_path / "websockets-14.2.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: websockets\nVersion: 14.2\n"
    (tmp_path / "websockets-14.2.dist-info" / "METADATA").write_text(metadata)
    ran = check("pushing:app", "--websocket", "/push", also_at=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        "asgi_disconnect check: --websocket needs the websockets library, 15 or newer:"
        " python -m pip install --upgrade 'asgi-disconnect[check]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--websocket", "push"), "'push' is not a path"),
        (("--websocket", "/push", "--path", "/"), "not allowed with argument"),
        (("--websocket", "/push", "--method", "POST"), "--method does not apply to a WebSocket"),
        (("--websocket", "/push", "--deadline", "3"), "--deadline does not apply to a WebSocket"),
    ],
)
def test_what_a_websocket_does_not_have_is_refused(arguments: tuple[str, ...], said: str) -> None:
    ran = check("pushing:app", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr

"""`check --deadline` shows what the app makes of a deadline, its client still there."""

import json
from typing import Any

import pytest

from asgi_disconnect._check.findings import Checked, Departure, Half
from asgi_disconnect._check.request import CannotAsk, Request, Stay, require_late_answer

from .environment import INSTALLED, check

GET = Request("GET", "/report")


def shortcomings(departure: Departure) -> list[str]:
    return Checked("s", "1", Half(), Half((departure,))).shortcomings(5.0)


def of_deadline(half: Any) -> Any:
    (found,) = [each for each in half["departures"] if each["moment"] == "deadline"]
    return found


def test_a_client_without_a_504_is_a_shortcoming() -> None:
    late = Departure("deadline", cancelled=True, ran_on=0.01)
    assert shortcomings(late) == ["deadline: the client had no 504"]
    assert shortcomings(Departure("deadline", cancelled=True, ran_on=0.01, answered=True)) == []


def test_so_is_what_is_one_of_a_departure() -> None:
    thread = Departure("deadline", cancelled=True, ran_on=2.0, thread="f (a.py:1)", answered=True)
    (said,) = shortcomings(thread)
    assert said.startswith("deadline: the app ran on for 2.0 s, because it runs in a thread")
    cut_off = Departure(
        "deadline", cancelled=True, ran_on=1.0, cut_off=("f (a.py:1)",), answered=True
    )
    assert shortcomings(cut_off) == ["deadline: cleanup was cut off in f (a.py:1)"]


@pytest.mark.parametrize("stay", [Stay(200, 3.0, 3.1), Stay(None, None, None)])
def test_an_app_that_answers_later_can_be_asked(stay: Stay) -> None:
    require_late_answer(GET, stay, 1.0)


@pytest.mark.parametrize("stay", [Stay(200, 0.5, 0.6), Stay(200, 0.5, None), Stay(200, 1.05, 1.1)])
def test_an_answer_that_begins_before_it_shows_nothing(stay: Stay) -> None:
    with pytest.raises(CannotAsk, match=r"begins to answer after .* Choose a smaller --deadline"):
        require_late_answer(GET, stay, 1.0)


@pytest.mark.skipif(not INSTALLED, reason="no server is installed")
def test_on_every_server_a_sound_app_is_cancelled_and_its_client_answered() -> None:
    ran = check("checked:app", "--deadline", "0.3", "--patience", "3", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout)
    assert [server["name"] for server in told["servers"]] == INSTALLED
    for server in told["servers"]:
        found = of_deadline(server["guarded"])
        assert found["answered"], server["name"]
        assert found["cancelled"]
        assert found["ran_on"] < 0.5
        assert "deadline" not in {each["moment"] for each in server["without"]["departures"]}
        assert server["guarded"]["logged"] == server["guarded"]["left_over"] == []


@pytest.mark.skipif("uvicorn" not in INSTALLED, reason="needs uvicorn")
def test_one_that_comes_too_late_is_refused() -> None:
    ran = check("checked:app", "--deadline", "30", "--patience", "3", "--server", "uvicorn")
    assert ran.returncode == 2
    assert "Choose a smaller --deadline." in ran.stdout + ran.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf"])
def test_nonsense_is_refused(seconds: str) -> None:
    ran = check("checked:app", "--deadline", seconds)
    assert ran.returncode == 2
    assert "--deadline" in ran.stderr

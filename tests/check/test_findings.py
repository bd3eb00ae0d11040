"""What `check` counts as a shortcoming, and what it shows: at most 100 columns, and JSON."""

import dataclasses
import json
import sys
from typing import Any

import pytest

from asgi_disconnect._check.findings import Checked, Departure, Findings, Half
from asgi_disconnect._check.screen import Progress, as_json, table, verdict
from asgi_disconnect._check.servers import SERVERS
from asgi_disconnect._check.target import Layer, Target

OURS = Layer("asgi_disconnect.DisconnectMiddleware", ours=True)
BASE = Layer("starlette.middleware.base.BaseHTTPMiddleware (app.timing)", base_http=True)
OTHER = Layer("some.where.Swallowing")
APP = Layer("app.app")

DEAF = Departure("before response", ran_on=3.0)
CANCELLED = Departure("before response", cancelled=True, ran_on=0.01)


def shortcomings(*departures: Departure, **more: Any) -> list[str]:
    without = Half((DEAF, Departure("after response", ran_on=1.0)))
    return Checked("s", "1", without, Half(departures, **more)).shortcomings(5.0)


@pytest.mark.parametrize(
    "departure",
    [
        CANCELLED,
        Departure("during response", told=True, ran_on=0.01),
        Departure("during response", cancelled=True, ran_on=4.0),  # a thread that was waited for
        Departure("before response", ignored=True),
        Departure("mid-upload", called=False),
        Departure("before response", ran_on=0.02),
        Departure("after response", ran_on=None),
        Departure("during response", told=True, ran_on=0.2, thread="f (a.py:1)"),
        Departure("during response", cancelled=True, ran_on=0.2, swallowed=("f (a.py:1)",)),
        Departure("during response", told=True, ran_on=1.0, time_left=("grace", 10.0)),
    ],
)
def test_all_is_well(departure: Departure) -> None:
    assert shortcomings(departure) == []


@pytest.mark.parametrize(
    ("departure", "said"),
    [
        (DEAF, "before response: the app was neither told nor cancelled"),
        (Departure("mid-upload"), "mid-upload: the app was neither told nor cancelled"),
        (Departure("before response", told=True), "before response: the app still ran 5 s later"),
        (
            Departure("before response", told=True, cancelled=True, ran_on=1, cut_short=True),
            "before response: the app did not end in time, and was cancelled while it cleaned up",
        ),
        (
            Departure("before response", cancelled=True, ran_on=0.1, cut_off=("f (a.py:1)",)),
            "before response: cleanup was cut off in f (a.py:1)",
        ),
        (
            Departure(
                "before response",
                cancelled=True,
                ran_on=2.0,
                cut_off=("f (a.py:1)", "g (a.py:2)"),
                time_left=("cleanup_timeout", 2.0),
            ),
            "before response: cleanup was cut off in f (a.py:1) and in g (a.py:2);"
            " cleanup_timeout is 2 s",
        ),
        (
            Departure(
                "before response",
                cancelled=True,
                ran_on=0.1,
                cut_off=("f (a.py:1)",),
                time_left=("cleanup_timeout", 10.0),
            ),
            "before response: cleanup was cut off in f (a.py:1)",
        ),
        (
            Departure("before response", cancelled=True, swallowed=("f (a.py:1)",)),
            "before response: f (a.py:1) swallowed the cancellation, and the app still ran 5 s"
            " later",
        ),
        (
            Departure("before response", thread="f (a.py:1)"),
            "before response: the app still ran 5 s later, because it runs in a thread, which"
            " cannot be cancelled: f (a.py:1)",
        ),
        (
            Departure("before response", cancelled=True, ran_on=2.0, thread="f (a.py:1)"),
            "before response: the app ran on for 2.0 s, because it runs in a thread, which cannot"
            " be cancelled: f (a.py:1)",
        ),
        (
            Departure("before response", cancelled=True, ran_on=2.0, blocked="f (a.py:1)"),
            "before response: the app ran on for 2.0 s, and blocks the event loop in f (a.py:1)",
        ),
        (
            Departure("before response", told=True, at="f (a.py:1)", time_left=("grace", 10.0)),
            "before response: the app still ran 5 s later, in f (a.py:1); but grace gives it 10 s"
            " to end, which is longer than the patience: see how it ends with --patience 12",
        ),
        (
            Departure("before response", told=True, time_left=("grace", 2.0)),
            "before response: the app still ran 5 s later",
        ),
        (
            Departure("after response", ran_on=0.1, cut_short=True),
            "after response: the background work was cut short",
        ),
    ],
)
def test_what_is_wrong_is_named(departure: Departure, said: str) -> None:
    assert shortcomings(departure) == [said]


def test_background_work_that_the_server_cuts_short_is_not_held_against_the_middleware() -> None:
    cut = Half((Departure("after response", ran_on=3.0, cut_short=True),))
    assert Checked("gunicorn", "1", cut, cut).shortcomings(5.0) == []


def test_what_is_logged_or_left_with_the_middleware_only_is_a_shortcoming() -> None:
    assert shortcomings(CANCELLED, logged=("RuntimeError: x",)) == [
        "1 more lines logged than without: RuntimeError: x"
    ]
    assert shortcomings(CANCELLED, left_over=("work",)) == ["tasks left over: work"]
    assert shortcomings(CANCELLED, left_over=None) == []


def test_the_line_that_is_new_is_shown() -> None:
    half = Half((DEAF,), logged=("old",)), Half((CANCELLED,), logged=("new", "old"))
    assert Checked("s", "1", *half).shortcomings(5.0) == ["1 more lines logged than without: new"]


def test_a_server_on_which_nothing_can_be_seen_is_not_held_against_the_app() -> None:
    sound = Checked("uvicorn", "1", Half((DEAF,)), Half((CANCELLED,)))
    left_out = Checked("daphne", "2", unasked="GET / answers 500")
    found = findings(sound, left_out)
    assert found.sound
    assert found.found_out
    assert "daphne was not checked: GET / answers 500" in verdict(found)
    assert "GET / answers 500" in table(found)
    assert not findings(left_out).found_out
    assert not findings(Checked("uvicorn", "1", error="it does not start")).found_out


def test_an_anyio_that_cuts_cleanup_off_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = Departure("before response", cancelled=True, ran_on=0.1, cut_off=("f (a.py:1)",))
    checked = Checked("uvicorn", "1", Half((DEAF,)), Half((cut,)))
    found = findings(checked, layers=(OURS, BASE, APP))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "4.13.0")
    assert f"before 4.14, cleanup is cut off behind {BASE.name}" in words(verdict(found))
    monkeypatch.setattr("importlib.metadata.version", lambda name: "4.14.0")
    assert "4.14" not in verdict(found)


def findings(*servers: Checked, layers: tuple[Layer, ...] = (OURS, APP)) -> Findings:
    return Findings("app:app", "GET /", 5.0, Target(layers), servers)


WORST = Checked(
    "hypercorn-trio",
    "10.20.30",
    Half((Departure("mid-upload", called=False), DEAF), logged=("x",) * 9999, left_over=None),
    Half(
        (
            Departure("before response", told=True, cancelled=True, ran_on=None),
            Departure("during response", ran_on=1000.0, cancelled=True, cut_short=True),
            Departure("before response", ignored=True, ran_on=None),
            Departure("after response", ran_on=1000.0, cut_short=True),
        ),
        left_over=("task",) * 9999,
    ),
)


def test_nothing_is_wider_than_100_columns() -> None:
    failed = Checked("gunicorn", "27.0.1", error="it does not start; " + "it says so " * 20)
    for layers in ((OURS, APP), (BASE, OTHER, OURS, APP), (APP,)):
        found = findings(WORST, failed, layers=layers)
        lines = (table(found) + "\n" + verdict(found)).splitlines()
        assert max(map(len, lines)) <= 100


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_table_is_read_at_a_glance() -> None:
    lines = table(findings(Checked("uvicorn", "0.54.0", Half((DEAF,)), Half((CANCELLED,)))))
    header, _, without, _, guarded, _ = lines.splitlines()
    assert words(header) == (
        "server middleware client left told cancelled ran on for cleanup background"
    )
    assert words(without) == "uvicorn 0.54.0 without before response no no 3.00 s - -"
    assert words(guarded) == "with before response no yes 0.01 s finished -"


def test_a_middleware_that_hides_the_disconnect_is_named() -> None:
    hidden = Checked("uvicorn", "1", Half((DEAF,)), Half((DEAF,)), hidden=True)
    found = findings(hidden, layers=(BASE, OTHER, OURS, APP))
    assert found.hiders == (BASE.name,)
    assert "(app.timing) stands outside DisconnectMiddleware and hides" in words(verdict(found))
    assert findings(hidden, layers=(OTHER, OURS, APP)).hiders == (OTHER.name,)
    seen = dataclasses.replace(hidden, hiders=(OTHER.name,))
    assert findings(seen, layers=(BASE, OTHER, OURS, APP)).hiders == (OTHER.name,)
    assert "only=" in verdict(findings(hidden))


def test_a_middleware_that_might_hide_it_is_named_though_all_is_well() -> None:
    sound = Checked("uvicorn", "1", Half((DEAF,)), Half((CANCELLED,)))
    found = findings(sound, layers=(BASE, OURS, APP))
    assert found.sound
    assert "belongs outermost" in verdict(found)
    assert findings(sound, layers=(OTHER, OURS, APP)).hiders == ()


def test_a_version_with_a_fault_of_its_own_is_warned_of_once_and_is_not_the_apps_fault() -> None:
    sound = Checked("uvicorn", "1", Half((DEAF,)), Half((CANCELLED,)))
    faulty = dataclasses.replace(sound, warning="uvicorn 1 does this. Do that.")
    found = findings(faulty, dataclasses.replace(faulty, name="uvicorn too"))
    assert found.sound
    assert verdict(found).splitlines() == [
        "Warning: uvicorn 1 does this. Do that.",
        "Apart from that, with the middleware everything is as it should be.",
    ]
    assert json.loads(as_json(found))["servers"][0]["warning"] == faulty.warning
    assert "Warning" not in verdict(findings(sound))


@pytest.mark.parametrize(
    ("version", "faulty"),
    [("0.42.0", False), ("0.43", True), ("0.44.0", True), ("0.45.0", False), ("0.440.1", False)],
)
def test_of_uvicorns_versions_two_have_a_fault(
    monkeypatch: pytest.MonkeyPatch, version: str, faulty: bool
) -> None:
    monkeypatch.setattr("importlib.metadata.version", {"uvicorn": version}.__getitem__)
    warning = SERVERS["uvicorn"].warning
    assert (warning is not None) is faulty
    if warning is not None:
        assert warning.startswith(f"uvicorn {version} says at SIGTERM")
        assert "0.45 or newer" in warning


def test_json_has_everything() -> None:
    told = json.loads(as_json(findings(WORST)))
    assert told["sound"] is False
    assert told["servers"][0]["shortcomings"][0] == "before response: the app still ran 5 s later"
    assert told["servers"][0]["without"]["departures"][1]["ran_on"] == 3.0


def test_progress_is_one_line_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(["uvicorn", "daphne"])
    progress.show("uvicorn", "without: staying")
    progress.show("daphne", "done")
    progress.clear()
    shown = capsys.readouterr().err
    assert "\n" not in shown
    assert shown.split("\r")[2].startswith("uvicorn without: staying | daphne done")

"""The command line: what is asked for there is what is done."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asgi_disconnect import __version__
from asgi_disconnect import _check as check
from asgi_disconnect import _cli as cli
from asgi_disconnect import _demo as demo
from asgi_disconnect._demo import live


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `check` has been asked for."""
    asked: list[Any] = []

    def run(wanted: check.Wanted) -> int:
        asked.append(wanted)
        return 1

    monkeypatch.setattr(check, "run", run)
    return asked


def test_check_takes_what_a_request_is_made_of(wanted: list[Any], tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"\x00\xff")
    status = cli.main(
        [
            *("check", "main:make", "--factory", "--app-dir", str(tmp_path), "--json"),
            *("--server", "daphne", "--server", "uvicorn", "--port", "9000", "--patience", "0.5"),
            *("--path", "/slow?a=b", "--header", "a: b", "--header", "c: d"),
            *("--data", f"@{tmp_path / 'body'}"),
        ]
    )
    assert status == 1
    assert wanted == [
        check.Wanted(
            app=check.App("main:make", str(tmp_path.resolve()), True),
            request=check.Request(
                method="POST", path="/slow?a=b", headers=("a: b", "c: d"), data=b"\x00\xff"
            ),
            servers=("daphne", "uvicorn"),
            port=9000,
            patience=0.5,
            as_json=True,
        )
    ]


@pytest.mark.parametrize(
    ("given", "method", "data"),
    [
        ((), "GET", b""),
        (("--data", "a=b"), "POST", b"a=b"),
        (("--data", "a=b", "--method", "put"), "PUT", b"a=b"),
    ],
)
def test_the_method_follows_the_body_unless_it_is_given(
    wanted: list[Any], given: tuple[str, ...], method: str, data: bytes
) -> None:
    cli.main(["check", "main:app", *given])
    assert (wanted[0].request.method, wanted[0].request.data) == (method, data)


def test_a_body_that_cannot_be_read_is_said(
    wanted: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "main:app", "--data", f"@{tmp_path / 'missing'}"]) == 2
    assert "--data: " in capsys.readouterr().err
    assert wanted == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--path", path) for path in ("slow", "/caf\xe9", "/a b", "/a\r\n")),
        *(("--header", header) for header in ("name", ": value", "a: b\r\nc: d")),
        ("--server", "apache"),
        *(("--patience", patience) for patience in ("long", "-1", "0", "inf", "nan")),
        *(("--port", port) for port in ("0", "99999", "-1", "http")),
    ],
)
def test_what_no_request_can_have_is_refused(
    wanted: list[Any], capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit) as exit:
        cli.main(["check", "main:app", option, value])
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert option in line
    assert wanted == []


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_a_port_that_is_none_is_refused_by_the_demo_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    monkeypatch.setattr(live, "run", lambda port: pytest.fail("it is served"))
    with pytest.raises(SystemExit) as exit:
        cli.main(["demo", "--page", "--port", port])
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--port" in line


def test_the_demo_is_measured_or_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run", lambda: 3)
    monkeypatch.setattr(live, "run", lambda port: port)
    assert cli.main(["demo"]) == 3
    assert cli.main(["demo", "--page", "--port", "9001"]) == 9001
    assert cli.main(["demo", "--page", "--port", "0"]) == 0  # any that is free


def test_control_c_ends_it_as_a_shell_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", run)
    assert cli.main(["demo"]) == 130


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "asgi_disconnect", "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"asgi_disconnect {__version__}\n"

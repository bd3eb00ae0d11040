"""The fixtures play each server in turn, to tests that are async and to tests that are not."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import asgi_disconnect

PLUGIN = "asgi_disconnect._pytest_plugin"

TESTS = """
import pytest
from asgi_disconnect import DisconnectMiddleware

async def app(scope, receive, send):
    while (await receive())["type"] != "http.disconnect":
        pass

def test_sync(asgi_exchange):
    with asgi_exchange(app) as client:
        client.until_receiving()
        client.disconnect()
        assert client.result().outcome == "told"

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_async(asgi_exchange):
    async with asgi_exchange(DisconnectMiddleware(app)) as client:
        await client.until_receiving()
        client.disconnect()
        assert (await client.result()).outcome == "told"

async def socket(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()

def test_websocket(asgi_websocket_exchange):
    with asgi_websocket_exchange(socket) as client:
        client.until_accepted()
        client.close()
        assert client.result().outcome == "told"
"""


ANYWHERE = """
import pytest

async def app(scope, receive, send):
    await receive()

@pytest.mark.anyio
async def test_it(asgi_exchange):
    async with asgi_exchange(app):
        pass
"""


def run(folder: Path, *options: str, tests: str = TESTS) -> str:
    (folder / "test_mine.py").write_text(tests)
    installed = any(each.value == PLUGIN for each in entry_points(group="pytest11"))
    package = str(Path(asgi_disconnect.__file__).parent.parent)
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"),
            *(() if installed else ("-p", PLUGIN)),
            *options,
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
        },
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_each_test_runs_once_for_each_server(tmp_path: Path) -> None:
    shown = run(tmp_path)
    for server in ("uvicorn", "hypercorn", "daphne", "granian"):
        assert f"test_sync[{server}] PASSED" in shown
        assert f"test_websocket[{server}] PASSED" in shown
    assert "16 passed" in shown


def test_the_option_chooses_the_servers(tmp_path: Path) -> None:
    shown = run(tmp_path, "--asgi-server", "gunicorn", "--asgi-server", "hypercorn-h2")
    assert "test_sync[gunicorn] PASSED" in shown
    assert "8 passed" in shown


def test_an_async_test_runs_on_asyncio_alone_unless_the_user_says_otherwise(
    tmp_path: Path,
) -> None:
    pytest.importorskip("trio")
    shown = run(tmp_path, tests=ANYWHERE)
    assert "test_it[uvicorn-asyncio] PASSED" in shown
    assert "4 passed" in shown
    assert "trio" not in shown.partition("collected")[2]


CONFTEST = """
import pytest

@pytest.fixture{}
def anyio_backend({}):
    return {}
"""


@pytest.mark.parametrize(
    ("chosen", "passed"),
    [
        (CONFTEST.format("", "", "'trio'"), 4),
        (CONFTEST.format("(scope='session')", "", "('asyncio', {'use_uvloop': False})"), 4),
        (CONFTEST.format("(params=['asyncio', 'trio'])", "request", "request.param"), 8),
    ],
    ids=["trio", "options", "both"],
)
def test_the_fixture_anyio_backend_chooses(tmp_path: Path, chosen: str, passed: int) -> None:
    pytest.importorskip("trio")
    (tmp_path / "conftest.py").write_text(chosen)
    shown = run(tmp_path, tests=ANYWHERE)
    assert f"{passed} passed" in shown
    assert ("trio" in shown.partition("collected")[2]) == (passed == 8)


@pytest.mark.parametrize("how", ["mark", "module", "class"])
def test_so_does_a_mark(tmp_path: Path, how: str) -> None:
    pytest.importorskip("trio")
    mark = "pytest.mark.parametrize('anyio_backend', ['trio', 'asyncio'])"
    tests = {
        "mark": ANYWHERE.replace("@pytest.mark.anyio", f"@pytest.mark.anyio\n@{mark}"),
        "module": ANYWHERE + f"\npytestmark = {mark}\n",
        "class": ANYWHERE.replace("@pytest", f"@{mark}\nclass TestIt:\n  @pytest")
        .replace("async def test_it(", "  async def test_it(self, ")
        .replace("    async with asgi", "      async with asgi")
        .replace("        pass", "          pass"),
    }
    assert "8 passed" in run(tmp_path, tests=tests[how])


def test_a_test_that_uses_no_fixture_of_ours_is_left_alone(tmp_path: Path) -> None:
    pytest.importorskip("trio")
    tests = "import pytest\n@pytest.mark.anyio\nasync def test_it(): pass\n"
    assert "2 passed" in run(tmp_path, tests=tests)


def test_a_fixture_of_a_module_that_is_async_goes_with_it(tmp_path: Path) -> None:
    fixture = """
@pytest.fixture(scope="module")
async def database():
    yield "rows"
"""
    tests = ANYWHERE.replace("(asgi_exchange)", "(asgi_exchange, database)") + fixture
    assert "4 passed" in run(tmp_path, tests=tests)


@pytest.mark.parametrize("what", ["asgi_disconnect", "asgi_disconnect.testing"])
def test_importing_it_imports_nothing_optional(what: str) -> None:
    look = (
        f"import sys; before = set(sys.modules); import {what}; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before}"
        " - set(sys.stdlib_module_names))"
    )
    package = str(Path(asgi_disconnect.__file__).parent.parent)
    ran = subprocess.run(
        [sys.executable, "-c", look],
        env={**os.environ, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=True,
        timeout=40,
    )
    assert set(ran.stdout.split()) <= {
        *("asgi_disconnect", "anyio", "asgiref"),
        *("idna", "sniffio", "typing_extensions"),  # what anyio imports
    }

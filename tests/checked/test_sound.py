"""`check` finds nothing wrong with apps of frameworks and tools that are sound, on each server.

`nox -s checked` has what they need, some 200 MB; what is not installed is left out.
"""

import json
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ..check.environment import INSTALLED, check

SERVED = str(Path(__file__).parent / "served")

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "work"}}
JSON = ("--header", "content-type: application/json")

# The module that each needs, and what is asked of it.
SOUND = {
    "litestar": ("litestar", ("--path", "/")),
    "litestar's stream": ("litestar", ("--path", "/stream")),
    "sse_starlette": ("sse_starlette", ()),
    "strawberry": ("strawberry", ("--data", '{"query": "{ work moreWork }"}', *JSON)),
    "django_ninja": ("ninja", ("--path", "/api/work")),
    "mcp": (
        "mcp",
        (
            *("--path", "/mcp", "--data", json.dumps(CALL), *JSON),
            *("--header", "accept: application/json, text/event-stream"),
        ),
    ),
    "datasette": ("datasette", ("--path", "/_memory.json?" + urlencode({"sql": "select wait(2)"}))),
}


@pytest.mark.timeout(90)
@pytest.mark.skipif(not INSTALLED, reason="no server is installed")
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_app_is_green_within_a_minute(name: str) -> None:
    module, request = SOUND[name]
    if not find_spec(module):
        pytest.skip(f"needs {module}")
    started = time.monotonic()
    file = name.partition("'")[0]
    ran = check(f"on_{file}:app", *request, "--app-dir", SERVED, "--json")
    assert time.monotonic() - started < 60
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(ran.stdout)
    assert found["guarded"]
    asked = [server for server in found["servers"] if server["unasked"] is None]
    # daphne runs no lifespan, without which MCP does not work.
    missing = {"daphne"} if name == "mcp" else set()
    assert {server["name"] for server in asked} == {*INSTALLED} - missing
    assert all(server["guarded"]["departures"] for server in asked)

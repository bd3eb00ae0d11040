"""Nothing optional is imported unless it is used: what is needed is anyio, asgiref and Python."""

import json
import subprocess
import sys

import pytest

IMPORTED = """
import importlib, json, sys
before = set(sys.modules)  # coverage and the like, from the environment
importlib.import_module(sys.argv[1])
names = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(names - sys.stdlib_module_names)))
"""

NEEDED = {"anyio", "asgi_disconnect", "asgiref"}
THEIRS = {"idna", "sniffio", "typing_extensions"}
"""What anyio and asgiref need, depending on their version and on Python's."""


def imported_by(module: str) -> set[str]:
    """The packages, other than the standard library, that an import of `module` brings."""
    command = [sys.executable, "-c", IMPORTED, module]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return set(json.loads(run.stdout))


@pytest.mark.parametrize(
    "module",
    [
        "asgi_disconnect",
        "asgi_disconnect.instrumentation",
        "asgi_disconnect.instrumentation.access_log",
        "asgi_disconnect.instrumentation.logging",
    ],
)
def test_nothing_optional_is_imported(module: str) -> None:
    assert imported_by(module) - THEIRS == NEEDED


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("prometheus", "prometheus_client"),
        ("opentelemetry", "opentelemetry"),
        ("opentelemetry_sdk", "opentelemetry"),
        ("sentry", "sentry_sdk"),
    ],
)
def test_a_hook_imports_its_own_library(module: str, library: str) -> None:
    pytest.importorskip(library)
    assert library in imported_by(f"asgi_disconnect.instrumentation.{module}")

"""The live page in a real browser: headless Chromium, and the page's server in a process."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Playwright switches it off, but people's browsers have it: a page that is left may be frozen.
BACK_FORWARD_CACHE = "--disable-back-forward-cache"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    playwright.expect.set_options(timeout=30_000)
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on the path")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=SWITCHES, ignore_default_args=[BACK_FORWARD_CACHE]
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def _serve(port: int = 0) -> Iterator[str]:
    """The page's address, on a server that is started as a user starts it."""
    server = subprocess.Popen(
        [sys.executable, "-m", "asgi_disconnect", "demo", "--page", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        assert line.startswith("Open http://127.0.0.1:")
        yield line.split()[1]
    finally:
        server.terminate()
        server.wait(10)
        server.stdout.close()


@pytest.fixture
def serve() -> Any:
    """Serves the page for a block, to a test that stops its server."""
    return _serve


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of a page that all tests visit."""
    with _serve() as url:
        yield url


@pytest.fixture
def visitor(browser: Any) -> Iterator[Any]:
    """Somebody with a browser of their own; what goes wrong in their page fails the test."""
    context = browser.new_context()
    context.set_default_timeout(10_000)
    errors: list[Any] = []
    context.on("weberror", lambda error: errors.append(error.error))
    yield context
    context.close()
    assert not errors


@pytest.fixture
def observer(browser: Any, url: str) -> Iterator[Any]:
    """The page in a browser of somebody else's, who only looks."""
    context = browser.new_context()
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()

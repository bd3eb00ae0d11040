"""Takes the pictures of the live page that the documentation shows, light and dark.

    python docs/hooks/live_screenshots.py [CHROMIUM]

Needs Playwright and Chromium.  The pictures are committed, so building the documentation needs
neither.
"""

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ASSETS = Path(__file__).parent.parent / "assets"
SIZE = {"width": 1040, "height": 900}


def act(page: Page) -> None:
    """Have handlers in all their states."""

    def start(*jobs: str) -> None:
        for job in jobs:
            page.get_by_role("button", name=job).click()

    page.get_by_role("switch").click()
    start("Slow query", "WebSocket")
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Leave them all").click()
    page.wait_for_timeout(300)
    page.get_by_role("switch").click()
    start("Slow query", "Query with deadline", "Streamed answer", "Upload")
    page.wait_for_timeout(1800)
    page.locator("li", has_text="Upload").get_by_role("button").click()
    page.wait_for_timeout(1300)
    start("WebSocket")
    page.wait_for_timeout(1500)
    page.locator("li", has_text="Slow query").get_by_role("button").click()
    page.wait_for_timeout(300)


def take(url: str, scheme: str, chromium: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme, viewport=SIZE, device_scale_factor=1.5)
        page.goto(url)
        act(page)
        page.screenshot(path=ASSETS / f"live-{scheme}.png")
        browser.close()


def main() -> None:
    chromium = sys.argv[1] if len(sys.argv) > 1 else "/usr/bin/chromium"
    for scheme in "light", "dark":
        server = subprocess.Popen(
            [sys.executable, "-m", "asgi_disconnect", "demo", "--page", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        try:
            take(server.stdout.readline().split()[1], scheme, chromium)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()

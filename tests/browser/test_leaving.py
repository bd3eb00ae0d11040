"""Whatever a person does to leave, the server hears of it, and the handler stops (contract §4).

Seen through the live page of another browser, as a person would see it.
"""

from collections.abc import Callable
from typing import Any

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect

JOBS = {
    "query": "Slow query",
    "bounded": "Query with deadline",
    "stream": "Streamed answer",
    "upload": "Upload",
    "alert": "WebSocket",
}


def press_stop(page: Any, url: str) -> None:
    page.get_by_role("button", name="Leave", exact=True).click()


def press_stop_for_all(page: Any, url: str) -> None:
    page.get_by_role("button", name="Leave them all").click()


def close_the_tab(page: Any, url: str) -> None:
    page.close()


def go_elsewhere(page: Any, url: str) -> None:
    # Another origin on this machine; a page that a browser may freeze instead of ending it.
    page.goto(url.replace("127.0.0.1", "localhost") + "page.css")


def go_to_a_page_of_the_same_site(page: Any, url: str) -> None:
    page.goto(url + "page.css")


def reload(page: Any, url: str) -> None:
    page.reload()


WAYS = [
    press_stop,
    press_stop_for_all,
    close_the_tab,
    go_elsewhere,
    go_to_a_page_of_the_same_site,
    reload,
]


def latest(observer: Any) -> Any:
    """The newest row of the live list."""
    return observer.locator("#handlers li").first


def start(visitor: Any, url: str, observer: Any, job: str, *, guarded: bool = True) -> Any:
    """Open the page, start a request there, and return the page when its handler works."""
    page = visitor.new_page()
    page.goto(url)
    if not guarded:
        page.get_by_role("switch").click()
    # Not how many there are: the list keeps forty.
    number = latest(observer).locator(".number")
    before = int(number.inner_text()) if observer.locator("#handlers li").count() else 0
    page.get_by_role("button", name=JOBS[job]).click()
    expect(number).to_have_text(str(before + 1))
    expect(latest(observer).locator(".job")).to_have_text(JOBS[job])
    expect(latest(observer)).to_have_attribute("data-state", "working")
    return page


@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize("job", JOBS)
def test_a_handler_is_stopped_and_cleans_up_when_its_visitor_leaves(
    visitor: Any, observer: Any, url: str, job: str, leave: Callable[[Any, str], None]
) -> None:
    page = start(visitor, url, observer, job)
    leave(page, url)
    # It passes through "cleaning up", where it would stay if its cleanup were cut off.
    expect(latest(observer)).to_have_attribute("data-state", "cleaned up")
    expect(latest(observer).locator(".state")).to_have_text("cancelled, cleaned up")


@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize("job", ["query", "alert"])
def test_without_the_middleware_it_works_on_for_nobody(
    visitor: Any, observer: Any, url: str, job: str, leave: Callable[[Any, str], None]
) -> None:
    page = start(visitor, url, observer, job, guarded=False)
    leave(page, url)
    expect(latest(observer)).to_have_attribute("data-state", "for nobody")


def test_who_stays_is_answered(visitor: Any, observer: Any, url: str) -> None:
    page = start(visitor, url, observer, "stream")
    expect(latest(observer)).to_have_attribute("data-state", "answered", timeout=20_000)
    expect(page.locator("#handlers li").first.locator(".text")).to_contain_text("still there.")


def test_who_stays_is_alerted(visitor: Any, observer: Any, url: str) -> None:
    page = start(visitor, url, observer, "alert")
    row = page.locator("#handlers li").first
    expect(row.locator(".text")).to_have_text("watching the price")
    expect(latest(observer)).to_have_attribute("data-state", "answered", timeout=20_000)
    expect(row.locator(".text")).to_have_text("the price has fallen")
    expect(row.get_by_role("button", name="Leave")).to_be_hidden()


def test_the_work_saved_is_counted(visitor: Any, observer: Any, url: str) -> None:
    saved = observer.locator("#saved")
    before = float(saved.inner_text())
    page = start(visitor, url, observer, "query")
    press_stop(page, url)
    expect(latest(observer)).to_have_attribute("data-state", "cleaned up")
    assert float(saved.inner_text()) > before

"""The live page says what is the matter: why a button is off, what a colour means, who has gone."""

import re
from typing import Any

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect

STARTS = ["Slow query", "Query with deadline", "Streamed answer", "Upload", "WebSocket"]
SIZES = {"wide": (1040, 775), "narrow": (360, 740)}


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def latest(page: Any) -> Any:
    """The newest row of the live list."""
    return page.locator("#handlers li").first


@pytest.fixture
def page(visitor: Any, url: str) -> Any:
    page = visitor.new_page()
    page.goto(url)
    return page


def test_a_deadline_stops_the_handler_of_a_client_that_stays(page: Any) -> None:
    button(page, "Query with deadline").click()
    row = latest(page)
    expect(row.locator(".job")).to_have_text("Query with deadline")
    expect(row.locator(".state")).to_have_text("deadline passed, cleaned up")
    expect(row.locator(".text")).to_have_text("504 Gateway Timeout")
    assert row.locator(".useless").evaluate("bar => bar.style.width") == "0%"
    expect(button(row, "Leave")).to_be_hidden()


def test_without_the_middleware_there_is_no_deadline(page: Any) -> None:
    page.get_by_role("switch").click()
    button(page, "Query with deadline").click()
    expect(latest(page).locator(".state")).to_have_text("answered", timeout=20_000)
    expect(latest(page).locator(".text")).to_have_text("200 OK")


def test_a_button_that_is_off_says_why(page: Any) -> None:
    leave_all, why = button(page, "Leave them all"), page.get_by_role("status")
    expect(leave_all).to_be_disabled()
    expect(leave_all).to_have_accessible_description(re.compile("^Nothing of yours is"))
    expect(why).to_contain_text("Nothing of yours is running")
    for _ in range(4):
        button(page, "Slow query").click()
    for name in STARTS[:-1]:
        expect(button(page, name)).to_be_disabled()
        expect(button(page, name)).to_have_attribute("title", re.compile("^Four requests"))
    expect(why).to_contain_text("a browser opens only six connections to one server")
    # A WebSocket is none of those.
    button(page, "WebSocket").click()
    expect(latest(page).locator(".job")).to_have_text("WebSocket")
    expect(leave_all).to_be_enabled()
    leave_all.click()
    for name in STARTS:
        expect(button(page, name)).to_be_enabled()
    expect(why).to_contain_text("Nothing of yours is running")


def test_the_colours_of_the_bars_are_explained(page: Any) -> None:
    legend = page.get_by_role("list", name="The colours of the bars")
    expect(legend.get_by_role("listitem")).to_have_text(
        ["worked for a client", "worked for nobody", "not worked: saved", "still to work"]
    )
    button(page, "Slow query").click()
    for part in "useful", "useless", "spared":
        paint = "part => getComputedStyle(part).background"
        in_legend = legend.locator(f".{part}").evaluate(paint)
        assert in_legend == latest(page).locator(f".bar .{part}").evaluate(paint)


def test_a_page_whose_server_has_stopped_says_so_and_goes_on_with_the_next(
    visitor: Any, serve: Any
) -> None:
    page = visitor.new_page()
    alert = page.get_by_role("alert")
    with serve() as url:
        page.goto(url)
        button(page, "WebSocket").click()
        expect(latest(page)).to_have_attribute("data-state", "working")
        expect(alert).to_be_hidden()
    expect(alert).to_contain_text("The server has stopped.")
    box, heading = alert.bounding_box(), page.get_by_role("heading").bounding_box()
    assert box["y"] < heading["y"]
    for name in [*STARTS, "Leave them all"]:
        expect(button(page, name)).to_be_disabled()
        expect(button(page, name)).to_have_attribute("title", "The server has stopped.")
    expect(page.get_by_role("switch")).to_be_disabled()
    expect(button(page, "Leave")).to_be_hidden()
    expect(latest(page).locator(".state")).to_have_text("ended with the server")
    expect(page.locator("#for-clients")).to_have_text("0")
    with serve(int(url.split(":")[2].strip("/"))):
        expect(alert).to_be_hidden()
        expect(page.locator("#handlers li")).to_have_count(0)
        button(page, "Slow query").click()
        expect(latest(page)).to_have_attribute("data-state", "working")


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_its_place(visitor: Any, url: str, size: str) -> None:
    page = visitor.new_page()
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.goto(url)
    button(page, "Query with deadline").click()
    row = latest(page)
    for state in "working", "deadline passed, cleaned up":
        expect(row.locator(".state")).to_have_text(state)
        expect(button(row, "Leave")).to_be_visible(visible=state == "working")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for cell in ".job", ".guard", ".state":
            fits = "cell => cell.scrollWidth <= cell.clientWidth"
            assert row.locator(cell).evaluate(fits), (cell, state)

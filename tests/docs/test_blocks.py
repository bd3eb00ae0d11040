"""Every block of Python in the documentation and the README runs, or is a file that tests run.

Each runs alone, as it does for a reader who pastes it into a new file, and finds nothing there but
`app`, the application that the reader has already.
"""

import re

import pytest

from .conftest import PAGES, Paste
from .pages import ROOT, included


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:litestar")
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_alone(page: str, paste: Paste) -> None:
    paste(page)


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_bring_all_that_they_name(page: str) -> None:
    """Which running them does not show of what stands in their functions."""
    for block in PAGES[page]:
        assert block.unknown <= {"app"}, f"line {block.line}"


def test_the_programs_that_pages_show_are_the_examples() -> None:
    """Which the tests run."""
    programs = {file for file in included() if file.endswith(".py")}
    examples = {f"examples/{program.name}" for program in (ROOT / "examples").glob("*.py")}
    assert programs == examples


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_are_written_as_the_rest_is(page: str) -> None:
    for block in PAGES[page]:
        for line in block.code.splitlines():
            assert len(line) <= 100
            assert line == line.rstrip()


def test_no_block_is_overlooked() -> None:
    """The pattern that finds them knows every way in which one is written."""
    for page, blocks in PAGES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        assert len(re.findall(r"^ *```py", text, re.MULTILINE)) == len(blocks)

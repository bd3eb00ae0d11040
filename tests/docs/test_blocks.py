"""Every block of Python in the documentation and the README runs, or is a file that tests run."""

import re

import pytest

from .conftest import PAGES, Run
from .pages import ROOT


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:litestar")
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(page: str, run_page: Run) -> None:
    for module in _imported(page):
        pytest.importorskip(module)
    run_page(page)


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_includes_are_there(page: str) -> None:
    for block in PAGES[page]:
        assert block.included is None or (ROOT / block.included).is_file()


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


def _imported(page: str) -> set[str]:
    """The packages that a page's blocks import: not all of them are on every Python."""
    code = "\n".join(block.code for block in PAGES[page] if block.included is None)
    found = re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)
    return set(found) - {"examples"}

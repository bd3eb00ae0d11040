"""What people search the documentation for is there: on a page that is about it."""

import re

import pytest

from .pages import ROOT

NO_ANSWER = {"changelog.md", "contributing.md", "api.md"}


@pytest.mark.parametrize(
    "word",
    [
        "openai",
        "nginx",
        "haproxy",
        "kubernetes",
        "celery",
        "sentry",
        "graphql",
        "mcp",
        "billing",
        "shield",
    ],
)
def test_the_search_finds(word: str) -> None:
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name not in NO_ANSWER]
    found = re.compile(rf"\b{word}\b", re.IGNORECASE)
    assert any(found.search(page.read_text(encoding="utf-8")) for page in pages)

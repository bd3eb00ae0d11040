"""Warns of a page that would fetch something from another machine when it is read.

An MkDocs hook; warnings are errors.
"""

import logging
import re
from typing import Any

FETCHES = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["'](?:https?:)?//[^>]*>"""
    r"""|<link\b[^>]*\bhref=["'](?:https?:)?//[^>]*>"""
)

logger = logging.getLogger("mkdocs.hooks.nothing_from_elsewhere")


def on_post_page(output: str, *, page: Any, **_: Any) -> None:
    """Called by MkDocs for each page, as it is written."""
    for found in FETCHES.findall(output):
        logger.warning("%s fetches from elsewhere: %s", page.file.src_uri, found)

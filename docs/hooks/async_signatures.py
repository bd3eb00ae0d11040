"""Writes `async def` before the signature of each function that is awaited, on the API page.

mkdocstrings can show that as a label only.  An MkDocs hook.
"""

import inspect
import pydoc
import re
from typing import Any

SIGNATURE = re.compile(
    r'(?P<heading><h\d id="(?P<name>asgi_disconnect\.[\w.]+)".*?</h\d>\s*<div class="[^"]*'
    r'doc-signature[^"]*"><pre><span></span><code>)',
    re.DOTALL,
)
ASYNC = '<span class="k">async</span> <span class="k">def</span> '


def on_page_content(html: str, **_: Any) -> str:
    """Called by MkDocs for each page, as it is HTML."""
    return SIGNATURE.sub(_with_async, html)


def _with_async(found: re.Match[str]) -> str:
    is_async = inspect.iscoroutinefunction(pydoc.locate(found["name"]))
    return found["heading"] + (ASYNC if is_async else "")

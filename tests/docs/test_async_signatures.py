"""The API page shows `async def` where a function is awaited."""

import importlib.util
from typing import Any

import pytest

from .pages import ROOT

HEADING = """
<h4 id="asgi_disconnect.{name}" class="doc doc-heading"><span>{last}</span></h4>
<div class="doc-signature highlight"><pre><span></span><code>{last}()</code></pre></div>
"""


def hook() -> Any:
    spec = importlib.util.spec_from_file_location("hook", ROOT / "docs/hooks/async_signatures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "is_async"),
    [
        ("Disconnect.wait", True),
        ("testing.Client.result", True),
        ("Disconnect.is_set", False),
        ("interrupting", False),
        ("DisconnectMiddleware", False),
    ],
)
def test_async_def_is_shown_where_it_is_one(name: str, is_async: bool) -> None:
    html = HEADING.format(name=name, last=name.rpartition(".")[2])
    shown = hook().on_page_content(html)
    assert ("async" in shown) == is_async
    assert (shown == html) != is_async

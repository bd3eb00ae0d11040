"""A Griffe extension: what the docstrings have of reStructuredText, as Markdown.

They are written for `help()`, with ``::`` before indented code, which Markdown would show.
"""

import re
from typing import Any

import griffe

BEFORE_CODE = re.compile(r"^(.*?)[ \t]*::$", re.MULTILINE)


class PlainDocstrings(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = BEFORE_CODE.sub(_plain, obj.docstring.value)


def _plain(match: re.Match[str]) -> str:
    return f"{match[1]}:" if match[1] else ""

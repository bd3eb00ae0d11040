"""The documentation's pages, and the blocks of Python in them."""

import re
import textwrap
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"^(?P<indent> *)```python(?P<options>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
# What those of our modules need that are for those who have it.
OPTIONAL = {
    "asgi_disconnect.instrumentation.opentelemetry": "opentelemetry",
    "asgi_disconnect.instrumentation.prometheus": "prometheus_client",
}


@dataclass(frozen=True)
class Block:
    """One block of Python, where it stands, and what it says."""

    page: str
    line: int
    code: str

    @property
    def missing(self) -> list[str]:
        """The packages that it imports and that are not installed."""
        modules = re.findall(r"^(?:from|import) ([\w.]+)", self.code, re.MULTILINE)
        imported = {OPTIONAL.get(module, module.partition(".")[0]) for module in modules}
        return sorted(module for module in imported - {"examples"} if find_spec(module) is None)

    def run(self, names: dict[str, Any]) -> None:
        """Run it, as if it stood in its page's own line."""
        exec(compile("\n" * self.line + self.code, self.page, "exec"), names)


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=str(page.relative_to(ROOT)),
            line=text[: found.start()].count("\n") + 1,
            code=textwrap.dedent(found["code"]),
        )
        for found in FENCE.finditer(text)
    ]


def included() -> set[str]:
    """The files that pages show."""
    texts = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md")]
    return {file for text in texts for file in re.findall(r'^ *--8<-- "([^"]+)"$', text, re.M)}


def pages() -> dict[str, list[Block]]:
    """Every page that has Python in it, and the README."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = {str(page.relative_to(ROOT)): blocks_of(page) for page in files}
    return {page: blocks for page, blocks in found.items() if blocks}

"""The documentation's pages, and the blocks of Python in them."""

import builtins
import re
import symtable
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"^(?P<indent> *)```python(?P<options>[^\n]*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
TITLE = re.compile(r'title="([^"]+)"')
# What those of our modules need that are for those who have it.
OPTIONAL = {
    "asgi_disconnect.instrumentation.opentelemetry": "opentelemetry",
    "asgi_disconnect.instrumentation.opentelemetry_sdk": "opentelemetry",
    "asgi_disconnect.instrumentation.prometheus": "prometheus_client",
    "asgi_disconnect.instrumentation.sentry": "sentry_sdk",
}


@dataclass(frozen=True)
class Block:
    """One block of Python, where it stands, and what it says."""

    page: str
    line: int
    code: str
    file: str | None = None
    """The name of the file that it goes into, where it says so."""
    beside: frozenset[str] = frozenset()
    """The modules that the page's files are, which it may import."""

    @property
    def missing(self) -> list[str]:
        """The packages that it imports and that are not installed."""
        modules = re.findall(r"^(?:from|import) ([\w.]+)", self.code, re.MULTILINE)
        imported = {OPTIONAL.get(module, module.partition(".")[0]) for module in modules}
        return sorted(
            module for module in imported - self.beside - {"examples"} if find_spec(module) is None
        )

    @property
    def module(self) -> str | None:
        """What other files import it as."""
        return self.file and self.file.removesuffix(".py")

    @property
    def unknown(self) -> set[str]:
        """The names that it uses, in the bodies of its functions too, and does not bring along."""
        table = symtable.symtable(self.code, self.page, "exec")
        brought = {
            name.get_name()
            for name in table.get_symbols()
            if name.is_assigned() or name.is_imported() or name.is_namespace()
        }
        return set(_globals_of(table)) - brought - set(dir(builtins)) - {"__name__"}

    def run(self, names: dict[str, Any]) -> None:
        """Run it, as if it stood in its page's own line."""
        exec(compile("\n" * self.line + self.code, self.page, "exec"), names)


def _globals_of(table: symtable.SymbolTable) -> Iterator[str]:
    for name in table.get_symbols():
        if name.is_referenced() and (name.is_global() or table.get_type() == "module"):
            yield name.get_name()
    for inner in table.get_children():
        yield from _globals_of(inner)


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(text))
    files = [title[1] for each in found if (title := TITLE.search(each["options"]))]
    return [
        Block(
            page=str(page.relative_to(ROOT)),
            line=text[: each.start()].count("\n") + 1,
            code=textwrap.dedent(each["code"]),
            file=title[1] if (title := TITLE.search(each["options"])) else None,
            beside=frozenset(file.removesuffix(".py") for file in files),
        )
        for each in found
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

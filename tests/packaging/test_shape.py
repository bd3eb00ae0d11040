"""The package's own shape: small modules, and no module that needs itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import asgi_disconnect

PACKAGE = Path(asgi_disconnect.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
BESIDE_THE_CORE = {"_check", "_demo", "testing"}
CORE = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] not in BESIDE_THE_CORE]
LONGEST = 250


def name_of(path: Path) -> str:
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imported_by(path: Path) -> Iterator[str]:
    """The modules of the package that `path` imports when it is imported, for its types too."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - node.level + 1])
        module = f"{base}.{node.module}" if node.module else base
        names = {name_of(other) for other in MODULES}
        for alias in node.names:
            full = f"{module}.{alias.name}"
            yield full if full in names else module


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_a_module_is_short_enough_to_be_read_at_once(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


def test_no_module_needs_itself() -> None:
    needs = {name_of(path): set(imported_by(path)) for path in MODULES}
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        assert name not in way, f"a circle: {' -> '.join([*way, name])}"
        if name not in done:
            for other in needs.get(name, ()):
                visit(other, [*way, name])
            done.add(name)

    for name in needs:
        visit(name, [])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_begins_by_saying_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))

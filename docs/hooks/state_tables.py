"""Writes the state tables of `asgi_disconnect._exchange.response` and `reader` into "How it works".

An MkDocs hook: ``<!-- table: NAME -->`` in a page becomes what the function NAME here returns, made
from the code that runs, so that the page cannot say anything else.
"""

import ast
import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

from asgi_disconnect._exchange import reader, response

PLACE = re.compile(r"<!-- table: (\w+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page."""
    return PLACE.sub(lambda place: TABLES[place[1]](), markdown)


def response_table() -> str:
    """One row for each message that a state of the response knows."""
    rows = []
    for state, steps in response.TABLE.items():
        first = f"`{state.name}`"
        for kind, (flag, without, with_flag) in steps.items():
            if without is with_flag:
                rows.append([first, f"`{kind}`", f"`{without.name}`"])
            else:
                step = f"`{with_flag.name}` if `{flag}`, else `{without.name}`"
                rows.append([first, f"`{kind}`", step])
            first = ""
        if not steps:
            rows.append([first, "any", "stays"])
    return _table(["state", "message that the app sends", "next state"], rows)


def reader_table() -> str:
    """One row for each state: the events that it knows, and the state that each leads to."""
    rows = []
    for state, steps in reader.TABLE.items():
        known = [f"`{event.name}` → `{after.name}`" for event, after in steps.items()]
        rows.append([f"`{state.name}`", "<br>".join(known)])
    return _table(["state", "event → next state"], rows)


def reader_states() -> str:
    return _meanings(reader, "Reader")


def reader_events() -> str:
    return _meanings(reader, "Event")


TABLES: dict[str, Callable[[], str]] = {
    "response": response_table,
    "reader": reader_table,
    "reader_states": reader_states,
    "reader_events": reader_events,
}


def _meanings(module: ModuleType, name: str) -> str:
    """The members of an enumeration, and the strings that stand below them in its source."""
    tree = ast.parse(inspect.getsource(module))
    (enumeration,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    rows = []
    for member, meaning in zip(enumeration.body, enumeration.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(meaning, ast.Expr):
            text = ast.literal_eval(meaning.value)
            assert isinstance(member.targets[0], ast.Name)
            rows.append([f"`{member.targets[0].id}`", " ".join(text.split())])
    return _table(["", "means"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

"""The versions that the page names are those that the project asks for and is tested with."""

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from .pages import ROOT

ROW = re.compile(r"^\| (?:\[(?P<linked>[^\]]+)\]\S*|(?P<plain>\S+)) \| (?P<versions>[^|]+) \|")
NEED = re.compile(r"^(?P<name>[\w.-]+)(?:\[[^\]]*\])?(?P<versions>[^;]*)")
# What only the tests need, to have a server or a framework do all that it can.
BESIDE = {"cryptography", "fastapi-cli", "h2", "httptools", "httpx2", "python-multipart"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text_of_page() -> str:
    return (ROOT / "docs/versions.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """What the page says, by name."""
    rows = [row for line in text_of_page().splitlines() if (row := ROW.match(line))]
    return {
        (row["linked"] or row["plain"]).lower(): row["versions"].strip("` ")
        for row in rows
        if row["versions"].strip() != "versions"
    }


def parsed(needs: list[Any]) -> Iterator[tuple[str, str]]:
    for need in needs:
        found = NEED.match(need)
        assert found is not None, need
        yield found["name"].lower(), found["versions"].strip()


def test_every_bound_is_the_projects(project: dict[str, Any], told: dict[str, str]) -> None:
    groups = project["dependency-groups"]
    extras = project["project"]["optional-dependencies"]
    asked = {
        "python": project["project"]["requires-python"],
        **dict(parsed(project["project"]["dependencies"])),
        **dict(parsed(extras["opentelemetry"] + extras["prometheus"])),
        **dict(parsed(groups["servers"] + groups["frameworks"] + groups["channels"])),
    }
    of_tests = dict(parsed(groups["tests"]))
    asked |= {name: of_tests[name] for name in ("pytest", "trio", "uvloop")}
    bounds = {name: versions for name, versions in told.items() if name != "django"}
    assert bounds == {name: asked[name] for name in asked if name not in BESIDE}


def test_the_pythons_are_those_of_the_classifiers(project: dict[str, Any]) -> None:
    classifiers = project["project"]["classifiers"]
    minor = re.compile(r"Programming Language :: Python :: (3\.\d+)$")
    pythons = [found[1] for each in classifiers if (found := minor.match(each))]
    tested = re.search(r"tested on (.+) \|", text_of_page())
    assert tested is not None
    assert re.findall(r"3\.\d+", tested[1]) == pythons


def test_the_extra_of_the_demo_is_told(project: dict[str, Any]) -> None:
    demo = project["project"]["optional-dependencies"]["demo"]
    assert demo == ["uvicorn>=0.30,!=0.43.*,!=0.44.*", "wsproto>=1.2"]
    assert "takes uvicorn from 0.30 on, but neither 0.43 nor 0.44" in text_of_page()
    assert "wsproto from 1.2 on" in text_of_page()


def test_the_djangos_are_those_of_the_tests(told: dict[str, str]) -> None:
    source = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    found = re.search(r"^DJANGOS = (\{.*\})$", source, re.MULTILINE)
    assert found is not None
    assert told["django"].split(", ") == list(ast.literal_eval(found[1]))

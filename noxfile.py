"""How the project is tested: `nox -l` lists the sessions."""

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests"]


def groups(*names: str) -> list[str]:
    return nox.project.dependency_groups(PROJECT, *names)

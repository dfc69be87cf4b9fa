"""The house's rules that a machine can check."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# From the bottom up: a part may import what it lists, and what those list.
BELOW: dict[str, set[str]] = {
    "models": set(),
    "llm": set(),
    "guarded": set(),
    "story": set(),
    "latency": set(),
    "caller": set(),
    "readers": {"guarded"},
    "writers": set(),
    "training": {"llm", "readers"},
    "pipeline": {"insight", "models", "llm", "readers", "writers", "training", "guarded"}
    | {"story", "latency"},
    "insight": {"models"},
    "tasks": {"pipeline"},
    "views": {"tasks", "insight"},
    "api": {"tasks", "caller"},
    "admin": {"tasks"},
    "management": {"tasks", "api", "training"},
    "checks": {"pipeline"},
    "apps": {"checks"},
    "urls": {"views"},
    "migrations": {"models"},
}
NO_DATABASE = {"llm", "readers", "writers", "training"}


def may_import(part: str) -> set[str]:
    below = BELOW[part]
    return below.union(*(may_import(lower) for lower in below)) | {part}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, as absolute dotted names."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted((ROOT / "review").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_only(path: Path) -> None:
    inside = path.relative_to(ROOT / "review")
    part = inside.parts[0].removesuffix(".py")
    if part == "__init__":
        return
    for name in imports(path):
        if name.startswith("review."):
            target = name.split(".")[1]
            assert target in may_import(part), f"{inside} imports {name}"
        if part in NO_DATABASE:
            assert not name.startswith("django"), f"{inside} imports {name}"


def test_every_part_of_the_house_is_in_the_plan() -> None:
    parts = {path.relative_to(ROOT / "review").parts[0].removesuffix(".py") for path in FILES}
    assert parts - {"__init__"} <= set(BELOW)


def test_every_setting_from_the_environment_is_documented() -> None:
    files = [ROOT / "tagger_site" / "settings.py", ROOT / "review" / "pipeline" / "first_start.py"]
    source = "".join(path.read_text() for path in files)
    names = set(re.findall(r'environ\.get\("(\w+)"|env_(?:flag|list)\("(\w+)"\)', source))
    documented = (ROOT / "docs" / "settings.md").read_text()
    missing = {a or b for a, b in names} - set(re.findall(r"`(\w+)`", documented))
    assert not missing


def test_no_file_names_an_index_host() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.txt", "*.in", "*.toml", "Makefile", ".ci/run"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    for name in listed:
        assert "index-url" not in (ROOT / name).read_text().replace("--no-emit-index-url", "")

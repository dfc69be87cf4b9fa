"""What is installed is pinned, with hashes, for every machine that Tagger runs on.

With hashes pip installs nothing that is not listed: a package that only another Python or another
machine needs would be missed there, and not here. So the markers of all that is installed are
looked at for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HASHED = ("requirements.txt", "requirements-dev.txt", "requirements-embedded.txt")
OF_EVERY_VENV = {"pip"}  # and it is not to replace itself while it works
EVERYWHERE: list[dict[str, str]] = [
    {
        "python_version": version.rpartition(".")[0],
        "python_full_version": version,
        "implementation_version": version,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": system.lower(),
        "platform_system": system,
        "platform_machine": machine,
    }
    for version in ("3.11.0", "3.11.2", "3.11.9", "3.12.0", "3.12.9", "3.13.0", "3.14.0")
    for system, machine in (
        *(("Linux", "x86_64"), ("Linux", "aarch64")),
        *(("Darwin", "x86_64"), ("Darwin", "arm64")),
    )
]


def lines(name: str) -> Iterator[str]:
    for line in (ROOT / name).read_text().replace("\\\n", " ").splitlines():
        line = line.partition("#")[0].strip()
        if line and not line.startswith("-c "):
            yield line


@cache
def pinned(*names: str) -> dict[str, Requirement]:
    listed = [Requirement(line.partition("--hash")[0]) for name in names for line in lines(name)]
    return {canonicalize_name(each.name): each for each in listed}


@pytest.mark.parametrize("name", HASHED)
def test_every_line_is_one_version_with_its_hashes(name: str) -> None:
    for line in lines(name):
        pin, *hashes = re.split(r" +--hash=", line)
        assert re.fullmatch(r"[a-z0-9-]+==[^ =]+( *;.*)?", pin.strip()), line
        assert hashes, line
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each.strip()) for each in hashes), line


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        ("requirements.in", ("requirements.txt",)),
        ("requirements-dev.in", ("requirements.txt", "requirements-dev.txt")),
    ],
)
def test_what_any_machine_needs_is_among_them(wanted: str, files: tuple[str, ...]) -> None:
    pins = pinned(*files)
    seen: set[tuple[str, str]] = set()
    todo = [("", Requirement(line)) for line in lines(wanted)]
    while todo:
        needs_it, need = todo.pop()
        name = canonicalize_name(need.name)
        if name in OF_EVERY_VENV:
            continue
        assert name in pins, f"{needs_it} needs {need}"
        version = str(pins[name].specifier).removeprefix("==")
        assert need.specifier.contains(version, prereleases=True), f"{needs_it} needs {need}"
        for extra in {"", *need.extras} - {extra for which, extra in seen if which == name}:
            seen.add((name, extra))
            for line in distribution(name).requires or []:
                found = Requirement(line)
                here = found.marker is None or any(
                    found.marker.evaluate({**machine, "extra": extra}) for machine in EVERYWHERE
                )
                if here:
                    todo.append((name, found))
    assert len(seen) > len(todo)

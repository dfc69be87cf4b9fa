"""`make audit`, with a program in place of pip-audit that says what a test wants to hear."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).resolve().parent / "audit.py"
BAD = {"name": "jinja2", "version": "2.10", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
GOOD = {"name": "django", "version": "5.2.19", "vulns": []}
SKIPPED = {"name": "ours", "skip_reason": "not found on PyPI"}


def audit(folder: Path, canary: list[Any] | None, pinned: list[Any] | None) -> tuple[int, str]:
    """What `make audit` says, where pip-audit says so of the canary and of what is pinned."""
    program = folder / "pip-audit"
    said = [
        json.dumps({"dependencies": found}) if found is not None else ""
        for found in (canary, pinned)
    ]
    program.write_text(
        f"#!{sys.executable}\nimport sys\nassert '--strict' in sys.argv\n"
        f"print({said[0]!r} if 'canary' in sys.argv[-1] else {said[1]!r})\n"
    )
    program.chmod(0o755)
    command = [sys.executable, str(AUDIT), str(program), "requirements.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("canary", [[], [{**BAD, "vulns": []}], [SKIPPED], None])
def test_an_audit_that_misses_the_canary_fails(tmp_path: Path, canary: list[Any] | None) -> None:
    code, told = audit(tmp_path, canary, [GOOD])
    assert code == 1
    assert "The audit is blind" in told


@pytest.mark.parametrize(
    ("pinned", "told"),
    [([GOOD, BAD], "PYSEC-1, mended in 3"), ([SKIPPED], "not found on PyPI"), (None, "could not")],
)
def test_what_is_vulnerable_or_was_not_looked_at_fails(
    tmp_path: Path, pinned: list[Any] | None, told: str
) -> None:
    code, said = audit(tmp_path, [BAD], pinned)
    assert code == 1
    assert told in said


def test_what_was_looked_at_and_is_sound_passes(tmp_path: Path) -> None:
    assert audit(tmp_path, [BAD], [GOOD]) == (0, "requirements.txt: 1 packages looked at.\n")

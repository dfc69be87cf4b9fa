"""Reviewers at work at the same time, each a process of its own, on the database of the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User

from review.models import Project

from .test_worker import ROOT, database_url


@dataclass(frozen=True)
class Told:
    """What one of them did: the documents that they were handed, and the keys of their picks."""

    handed: list[int]
    keys: list[str]


class Reviewers:
    """They are ready once this is made, and wait for `begin`: see reviewer_process.py."""

    def __init__(self, project: Project, users: Sequence[User]) -> None:
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.reviewer_process", str(project.pk), str(user.pk)],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": database_url()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for user in users
        ]
        for process in self.processes:
            assert process.stdout
            process.stdout.readline()

    def begin(self) -> None:
        for process in self.processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()

    def told(self) -> Iterator[Told]:
        """When there is nothing left to review."""
        for process in self.processes:
            out, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors[-2000:]
            yield Told(**json.loads(out))

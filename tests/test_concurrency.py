"""Sixteen reviewers at once, each a process of its own, on the database of the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
from django.contrib.auth.models import User

from review.models import Decision, Document, DocumentState, Project

from .test_worker import ROOT, database_url
from .world import make_ready

pytestmark = pytest.mark.django_db(transaction=True)

REVIEWERS = 16
DOCUMENTS = 500


def test_no_document_goes_to_two_people_and_no_pick_is_lost() -> None:
    project = Project.objects.create(name="READMEs")
    make_ready(project, DOCUMENTS)
    reviewers = [User.objects.create(username=f"reviewer {n}") for n in range(REVIEWERS)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.reviewer_process", str(project.pk), str(reviewer.pk)],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database_url()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for reviewer in reviewers
    ]
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    handed: Counter[int] = Counter()
    keys: set[str] = set()
    for process in processes:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-2000:]
        told = json.loads(out)
        handed.update(told["handed"])
        keys.update(told["keys"])
    assert handed == Counter(dict.fromkeys(Document.objects.values_list("pk", flat=True), 1))
    assert keys == {str(key) for key in Decision.objects.values_list("key", flat=True)}
    assert len(keys) == DOCUMENTS
    assert not Document.objects.exclude(state=DocumentState.REVIEWED).exists()

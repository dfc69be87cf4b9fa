"""Sixteen reviewers at once, each a process of its own, on the database of the run."""

from __future__ import annotations

from collections import Counter

import pytest
from django.contrib.auth.models import User

from review.models import Decision, Document, DocumentState, Project

from .reviewers import Reviewers
from .world import make_ready

pytestmark = pytest.mark.django_db(transaction=True)

REVIEWERS = 16
DOCUMENTS = 500


def test_no_document_goes_to_two_people_and_no_pick_is_lost() -> None:
    project = Project.objects.create(name="READMEs")
    make_ready(project, DOCUMENTS)
    reviewers = [User.objects.create(username=f"reviewer {n}") for n in range(REVIEWERS)]
    at_work = Reviewers(project, reviewers)
    at_work.begin()
    handed: Counter[int] = Counter()
    keys: set[str] = set()
    for told in at_work.told():
        handed.update(told.handed)
        keys.update(told.keys)
    assert handed == Counter(dict.fromkeys(Document.objects.values_list("pk", flat=True), 1))
    assert keys == {str(key) for key in Decision.objects.values_list("key", flat=True)}
    assert len(keys) == DOCUMENTS
    assert not Document.objects.exclude(state=DocumentState.REVIEWED).exists()

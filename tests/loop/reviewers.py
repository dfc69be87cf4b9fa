"""Reviewers who are simulated: they know each document's labels, and pick by them.

They work through the desk's own verbs: they claim from the queue, and decide on what they hold.
Their names say what they are, and so does every file that is made of their decisions.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User

from review.insight.quality import f1
from review.models import Candidate, Document, Membership, Project, Role
from review.pipeline import decide
from review.pipeline.queue import claim_next
from review.readers.labelled import Labelled

NAME = "simulated-{}"


@dataclass
class Day:
    """What they did. whose: each document's reviewer, by its external id."""

    picked: int = 0
    none_fits: int = 0
    whose: dict[str, str] = field(default_factory=dict)


def reviewers(project: Project, count: int) -> list[User]:
    users = [User.objects.create_user(NAME.format(place + 1)) for place in range(count)]
    for user in users:
        Membership.objects.create(project=project, user=user, role=Role.REVIEWER)
    return users


def review(
    project: Project, users: Sequence[User], labels: Mapping[str, Labelled], seed: int
) -> Day:
    """They take turns at the queue until it is empty, the same in each run."""
    day = Day()
    turn = 0
    while document := claim_next(project, user := users[turn % len(users)]):
        turn += 1
        day.whose[document.external_id] = user.username
        chance = random.Random(f"{seed} {document.external_id}")
        if decided(document, user, labels[document.external_id], chance):
            day.picked += 1
        else:
            day.none_fits += 1
    return day


def decided(document: Document, user: User, labels: Labelled, chance: random.Random) -> bool:
    """Pick the candidate with the highest F1, of several one by chance; False where none fits."""
    assert document.lease_token
    proposal = document.proposals.get(current=True)
    page = decide.Page(user, proposal, document.lease_token, uuid.uuid4())
    shown = list(proposal.candidates.prefetch_related("placed_tags__tag"))
    best = max(worth(one, labels) for one in shown)
    if not best:
        decide.none_fits(page)
        return False
    decide.pick(page, chance.choice([one for one in shown if worth(one, labels) == best]))
    return True


def worth(candidate: Candidate, labels: Labelled) -> float:
    return f1(tuple(tag.name for tag in candidate.tags), labels.best)

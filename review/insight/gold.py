"""How often people are right, by documents whose answer a curator knew before they decided.

Those are the documents that were handed to them as gold; and any other review of such a document,
where its answer was there first. Nobody is measured by what they have said themselves.
"""

from __future__ import annotations

import datetime
import enum
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from review.models import Decision, DecisionKind, Gold, Project, Purpose
from review.models.decision import REVIEWS

from .interval import Share

TagSet = frozenset[int]  # ids of tags, merged ones as what they have become; "none fits" is empty

MOST_READ = 4000  # decisions, the latest
LATELY = 20  # decisions of a person, the latest


class Verdict(enum.Enum):
    RIGHT = "right"  # the best set
    ACCEPTABLE = "acceptable"  # another that is no error
    WRONG = "wrong"
    SKIPPED = "skipped"  # which is neither


class Known(NamedTuple):
    """What is right of a document, as a curator says now."""

    best: TagSet
    acceptable: list[TagSet]

    def verdict(self, given: TagSet) -> Verdict:
        if given == self.best:
            return Verdict.RIGHT
        return Verdict.ACCEPTABLE if given in self.acceptable else Verdict.WRONG


class Measured(NamedTuple):
    """A decision on a document whose answer was known."""

    decision: int
    reviewer: str
    document: int
    at: datetime.datetime
    given: TagSet
    verdict: Verdict


@dataclass(frozen=True)
class Accuracy:
    """How one person did. fits: with the best set or an acceptable one; lately: of those the
    latest, `LATELY` at most. Skips are in none of the shares.
    """

    reviewer: str
    right: Share
    fits: Share
    lately: Share
    skipped: int

    @property
    def shares(self) -> list[Share]:
        return [self.right, self.fits, self.lately]


def known(project: Project) -> dict[int, Known]:
    """By document: what is right of it."""
    golds = Gold.objects.filter(document__project=project, current=True, withdrawn=False)
    told = list(golds.values_list("document", "best", "acceptable"))
    if not told:
        return {}
    ends = project.tags.ends()
    tags = {number: ends.get(pk, pk) for pk, number in project.tags.values_list("pk", "number")}

    def read(numbers: list[int]) -> TagSet:
        return frozenset(tags[number] for number in numbers if number in tags)

    return {
        document: Known(read(best), [read(one) for one in acceptable])
        for document, best, acceptable in told
    }


def measured(project: Project) -> list[Measured]:
    """The latest decisions that stand and say how right a person is, in the order of deciding."""
    answers = known(project)
    if not answers:
        return []
    first: dict[int, datetime.datetime] = {}
    said: dict[int, set[int | None]] = defaultdict(set)
    told = Gold.objects.filter(document__project=project).order_by("pk")
    for document, by, at in told.values_list("document", "by", "created_at"):
        first.setdefault(document, at)
        said[document].add(by)
    rows = (
        Decision.objects.by_people()
        .filter(
            document__project=project,
            document__golds__current=True,
            document__golds__withdrawn=False,
            standing__purpose__in=[Purpose.GOLD, Purpose.REVIEW],
            kind__in=[*REVIEWS, DecisionKind.SKIP],
        )
        .order_by("-pk")
        .values_list("pk", "reviewer", "reviewer__username", "document", "created_at", "kind")
    )
    latest = [
        (key, name, document, at, kind)
        for key, person, name, document, at, kind in rows[:MOST_READ]
        if document in answers and at >= first[document] and person not in said[document]
    ]
    given = Decision.objects.filter(pk__in=[row[0] for row in latest]).tag_sets()
    return [
        Measured(key, name, document, at, given[key], _verdict(answers[document], kind, given[key]))
        for key, name, document, at, kind in reversed(latest)
    ]


def _verdict(answer: Known, kind: str, given: TagSet) -> Verdict:
    return Verdict.SKIPPED if kind == DecisionKind.SKIP else answer.verdict(given)


def accuracies(found: list[Measured]) -> list[Accuracy]:
    """By the names of the people."""
    by_person: dict[str, list[Verdict]] = defaultdict(list)
    for one in found:
        by_person[one.reviewer].append(one.verdict)
    return [_accuracy(name, verdicts) for name, verdicts in sorted(by_person.items())]


def _accuracy(name: str, verdicts: list[Verdict]) -> Accuracy:
    told = [one for one in verdicts if one != Verdict.SKIPPED]
    return Accuracy(
        name,
        right=Share(told.count(Verdict.RIGHT), len(told)),
        fits=_fits(told),
        lately=_fits(told[-LATELY:]),
        skipped=len(verdicts) - len(told),
    )


def _fits(verdicts: Sequence[Verdict]) -> Share:
    return Share(len(verdicts) - verdicts.count(Verdict.WRONG), len(verdicts))

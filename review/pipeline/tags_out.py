"""The tags that people gave: the final set of a document, from its decisions.

Or that nobody gave: of a document that was let through unseen they are the first candidate's.
Decisions are never rewritten: a tag that was merged since is read as the one that it became.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from review.models import (
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    Project,
    Purpose,
    Tag,
)
from review.models.decision import REVIEWS

from .vocabulary import endings, resolve


def final_tags(document: Document) -> list[Tag]:
    """The tags of a reviewed document in their order; empty while it is not reviewed."""
    if document.state != DocumentState.REVIEWED:
        return []
    decisions = list(_decisions().filter(document=document))
    return _settle(decisions, endings(document.project))


def unseen(document: Document) -> Decision | None:
    """By what it was let through without a review; None for others."""
    if document.state != DocumentState.REVIEWED:
        return None
    machine = document.decisions.filter(standing__purpose=Purpose.MACHINE)
    return machine.select_related("candidate").first()


@dataclass(frozen=True)
class Tagged:
    """A document with its final tags.

    agreement: the share of its reviewers whose set is the final one, 0 to 1; None without any.
    unseen: it was let through without a review; its tags are the model's.
    at: when the last decision on it was made that counts; where there is none, when it came.
    """

    document: Document
    tags: list[Tag]
    agreement: float | None
    at: datetime.datetime
    unseen: bool = False


@dataclass(frozen=True)
class Wanted:
    """Which documents: those in this state, with `since` <= at < `until`, and so much agreement.

    Who asks for agreement wants no document that nobody has reviewed. keys: only these.
    """

    state: DocumentState = DocumentState.REVIEWED
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    min_agreement: float = 0
    keys: Collection[int] | None = None

    def has(self, tagged: Tagged) -> bool:
        if self.since is not None and tagged.at < self.since:
            return False
        if self.until is not None and tagged.at >= self.until:
            return False
        return not self.min_agreement or (tagged.agreement or 0) >= self.min_agreement


def tagged(project: Project, wanted: Wanted) -> Iterator[Tagged]:
    """Yield the documents that are wanted, in the order of arrival, without their texts.

    They have no tags in any state but reviewed. Memory does not grow with their number.
    """
    standing = Prefetch("decisions", queryset=_decisions(), to_attr="counting")
    documents = project.documents.filter(state=wanted.state).defer("text", "html")
    if wanted.keys is not None:
        documents = documents.filter(pk__in=wanted.keys)
    ordered = documents.order_by("pk").prefetch_related(standing)
    ends = endings(project)
    for document in ordered.iterator(chunk_size=500):
        found = _tagged(document, document.counting, ends)  # type: ignore[attr-defined]
        if wanted.has(found):
            yield found


def _tagged(document: Document, decisions: list[Decision], ends: Mapping[int, Tag]) -> Tagged:
    tags = _settle(decisions, ends) if document.state == DocumentState.REVIEWED else []
    by_people = [one for one in decisions if one.standing.purpose != Purpose.MACHINE]
    reviews = [decision.tags for decision in by_people if decision.kind in REVIEWS]
    agreeing = sum(set(resolve(given, ends)) == set(tags) for given in reviews)
    return Tagged(
        document,
        tags,
        agreement=agreeing / len(reviews) if reviews else None,
        at=max((decision.created_at for decision in decisions), default=document.created_at),
        unseen=len(by_people) < len(decisions),
    )


def _decisions() -> QuerySet[Decision]:
    """What stands and is no repeat, with the sets."""
    return (
        Decision.objects.filter(
            standing__purpose__in=[Purpose.REVIEW, Purpose.FINAL, Purpose.MACHINE],
            kind__in=[*REVIEWS, DecisionKind.SETTLE],
        )
        .select_related("standing")
        .prefetch_related("candidate__placed_tags__tag", "placed_tags__tag")
        .order_by("pk")
    )


def _settle(decisions: list[Decision], ends: Mapping[int, Tag]) -> list[Tag]:
    """What a curator settled; else the set that most reviewers chose, of equally many the first.

    "None fits" is a vote for the empty set.
    """
    for decision in decisions:
        if decision.kind == DecisionKind.SETTLE:
            return resolve(decision.tags, ends)
    sets = [resolve(decision.tags, ends) for decision in decisions]
    votes = [sum(set(mine) == set(other) for other in sets) for mine in sets]
    return sets[votes.index(max(votes))] if sets else []

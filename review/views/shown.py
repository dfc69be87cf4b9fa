"""Candidates as a page shows them: in the reviewer's order, their differences marked."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from review.models import CandidateTag, Proposal, Tag


@dataclass(frozen=True)
class ShownTag:
    number: int
    name: str
    description: str
    not_for: str
    common: bool  # in every candidate of the page: nothing to choose between


@dataclass(frozen=True)
class ShownCandidate:
    id: int
    key: str  # the key that picks it: its place on the page
    tags: list[ShownTag]


def shown_candidates(proposal: Proposal, reviewer: User) -> list[ShownCandidate]:
    """The candidates in the order in which this reviewer sees them."""
    placed = CandidateTag.objects.filter(candidate__proposal=proposal)
    ids: dict[int, int] = {}  # by rank
    sets: dict[int, list[Tag]] = {}
    for place in placed.select_related("candidate", "tag").order_by("position"):
        ids[place.candidate.rank] = place.candidate_id
        sets.setdefault(place.candidate.rank, []).append(place.tag)
    common = set.intersection(*map(set, sets.values())) if len(sets) > 1 else set()
    return [
        ShownCandidate(ids[rank], str(place), [shown_tag(tag, common) for tag in sets[rank]])
        for place, rank in enumerate(proposal.order_for(reviewer.pk), start=1)
    ]


def shown_tag(tag: Tag, common: set[Tag]) -> ShownTag:
    return ShownTag(tag.number, tag.name, tag.description, tag.not_for, tag in common)

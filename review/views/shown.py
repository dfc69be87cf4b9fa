"""Candidates as a page shows them: in the reviewer's order, their differences marked."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User

from review.models import Proposal, Tag


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
    candidates = {
        candidate.rank: candidate
        for candidate in proposal.candidates.prefetch_related("placed_tags__tag")
    }
    order = proposal.order_for(reviewer.pk, list(candidates))
    sets = {rank: candidate.tags for rank, candidate in candidates.items()}
    common = set.intersection(*map(set, sets.values())) if len(sets) > 1 else set()
    return [
        ShownCandidate(
            candidates[rank].pk, str(place), [shown_tag(tag, common) for tag in sets[rank]]
        )
        for place, rank in enumerate(order, start=1)
    ]


def shown_tag(tag: Tag, common: set[Tag]) -> ShownTag:
    return ShownTag(tag.number, tag.name, tag.description, tag.not_for, tag in common)

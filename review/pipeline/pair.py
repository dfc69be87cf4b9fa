"""Preference pairs, derived from the decisions each time: the pick beats what was passed over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from review.models import Decision, DecisionKind, Project, Proposal, Tag


@dataclass(frozen=True)
class PreferencePair:
    """One set that a reviewer preferred to another, for the same prompt.

    messages: what the model was sent, to the byte. chosen, rejected: tag names in the
    candidate's order, as the model was shown them.
    """

    decision: Decision
    messages: list[dict[str, str]]
    chosen: list[str]
    rejected: list[str]
    chosen_rank: int  # 0 for a set of the reviewer's own
    rejected_rank: int


def pairs(project: Project) -> Iterator[PreferencePair]:
    """Yield the pairs of all decisions that stand, in the order of deciding.

    A pick makes at most two: it beats each set that was passed over. A correction beats all
    that were shown. Losers are not ranked among themselves; equal sets make no pair, nor
    does a skip, an undone decision, or "none fits" without a set that does. Reads in
    chunks: memory does not grow with the number of decisions.
    """
    decisions = (
        Decision.objects.standing()
        .filter(document__project=project, kind__in=[DecisionKind.PICK, DecisionKind.CORRECT])
        .select_related("proposal__system_message", "proposal__vocabulary_version")
        .prefetch_related("proposal__candidates__placed_tags__tag", "placed_tags__tag")
        .order_by("pk")
    )
    for decision in decisions.iterator(chunk_size=500):
        yield from pairs_of(decision)


def pairs_of(decision: Decision) -> Iterator[PreferencePair]:
    """Yield the pairs of one pick or correction, the better-ranked loser first."""
    proposal = cast(Proposal, decision.proposal)  # only an undo has none
    names = {tag["id"]: tag["name"] for tag in proposal.vocabulary_version.tags}
    ranked = sorted(proposal.candidates.all(), key=lambda candidate: candidate.rank)
    picked = [candidate for candidate in ranked if candidate.pk == decision.candidate_id]
    chosen = named(picked[0].tags if picked else decision.tags, names)
    for loser in ranked:
        rejected = named(loser.tags, names)
        if set(chosen) != set(rejected):  # which leaves the winner out as well
            rank = picked[0].rank if picked else 0
            yield PreferencePair(decision, proposal.messages, chosen, rejected, rank, loser.rank)


def named(tags: list[Tag], names: dict[int, str]) -> list[str]:
    """The tags under the names that the model was shown.

    A tag that came into the vocabulary only later has the name of today.
    """
    return [names.get(tag.number, tag.name) for tag in tags]

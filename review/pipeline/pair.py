"""Preference pairs, derived from the decisions each time: the pick beats what was passed over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from review.models import Candidate, Decision, DecisionKind, Project


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
    chosen_rank: int
    rejected_rank: int


def pairs(project: Project) -> Iterator[PreferencePair]:
    """Yield the pairs of all picks, in the order of deciding: at most two a pick.

    Losers are not ranked among themselves, and equal sets make no pair. Reads in chunks:
    memory does not grow with the number of decisions.
    """
    picks = (
        Decision.objects.filter(document__project=project, kind=DecisionKind.PICK)
        .select_related(
            "candidate__proposal__system_message", "candidate__proposal__vocabulary_version"
        )
        .prefetch_related("candidate__proposal__candidates__placed_tags__tag")
        .order_by("pk")
    )
    for decision in picks.iterator(chunk_size=500):
        yield from pairs_of(decision)


def pairs_of(decision: Decision) -> Iterator[PreferencePair]:
    """Yield the pairs of one pick, the better-ranked loser first."""
    proposal = cast(Candidate, decision.candidate).proposal  # a pick has one: the database says so
    names = {tag["id"]: tag["name"] for tag in proposal.vocabulary_version.tags}
    ranked = sorted(proposal.candidates.all(), key=lambda candidate: candidate.rank)
    winner = next(candidate for candidate in ranked if candidate.pk == decision.candidate_id)
    chosen = names_of(winner, names)
    for loser in ranked:
        rejected = names_of(loser, names)
        if set(chosen) != set(rejected):  # which leaves the winner out as well
            yield PreferencePair(
                decision, proposal.messages, chosen, rejected, winner.rank, loser.rank
            )


def names_of(candidate: Candidate, names: dict[int, str]) -> list[str]:
    """The candidate's tags under the names that the model was shown."""
    return [names[tag.number] for tag in candidate.tags]

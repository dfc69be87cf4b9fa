"""Preference pairs, derived from the decisions each time: the pick beats what was passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db.models import Prefetch

from review.models import Decision, DecisionKind, Document, Project, Purpose, Tag
from review.models.decision import DecisionQuerySet
from review.models.proposal import WORDS_COUNTED


@dataclass(frozen=True)
class PreferencePair:
    """One set that a person preferred to another, for the same prompt.

    messages: what the model was sent, to the byte. chosen, rejected: tag names in the
    candidate's order, as the model was shown them. merged: how many of their tags were merged
    into others since. same_now: by these merges the sides have become one set. Such a pair says
    what was preferred then, or even what nobody saw: the page shows equal sets as one.
    chosen_said, rejected_said: the model itself said it, in answer to the prompt (on-policy); else
    a person did, or it was put together from likelihoods.
    """

    decision: Decision
    messages: list[dict[str, str]]
    chosen: list[str]
    rejected: list[str]
    chosen_rank: int  # 0 for a set of their own
    rejected_rank: int
    chosen_tags: list[Tag]
    rejected_tags: list[Tag]
    same_now: bool = False
    chosen_said: bool = True
    rejected_said: bool = True

    @property
    def merged(self) -> int:
        tags = {*self.chosen_tags, *self.rejected_tags}
        return sum(tag.merged_into_id is not None for tag in tags)


def pairs(project: Project) -> Iterator[PreferencePair]:
    """Yield the pairs of all decisions that stand, in the order of deciding.

    A pick makes at most two: it beats each set that was passed over. A correction beats all
    that were shown, and so does what a curator settled; reviews that say otherwise than it
    make none. Losers are not ranked among themselves; equal sets make no pair, nor does a
    skip, a repeat, an undone decision, "none fits" without a set that does, or a choice between
    sets that no model gave. Reads in
    chunks: memory does not grow with the number of decisions.
    """
    decisions = with_what_pairs_need(
        Decision.objects.filter(
            document__project=project,
            standing__purpose__in=[Purpose.REVIEW, Purpose.FINAL],
            kind__in=[DecisionKind.PICK, DecisionKind.CORRECT, DecisionKind.SETTLE],
        )
    ).order_by("pk")
    ends = project.tags.ends()
    for decision in decisions.iterator(chunk_size=500):
        yield from pairs_of(decision, ends)


def with_what_pairs_need(decisions: DecisionQuerySet) -> DecisionQuerySet:
    """The same decisions, with all that `pairs_of` reads of each."""
    settled = Decision.objects.final().prefetch_related("placed_tags")
    return decisions.select_related(
        "proposal__system_message", "proposal__vocabulary_version"
    ).prefetch_related(
        "proposal__candidates__placed_tags__tag",
        "placed_tags__tag",
        Prefetch("document", Document.objects.only("pk")),
        Prefetch("document__decisions", settled, to_attr="settled"),
    )


def pairs_of(decision: Decision, ends: Mapping[int, int]) -> Iterator[PreferencePair]:
    """Yield the pairs of one decision that gives a set, the better-ranked loser first.

    `ends`: what merged tags have become, by their ids.
    """
    proposal = decision.proposal
    if proposal is None or proposal.model == WORDS_COUNTED:  # no model answered, to no prompt
        return
    names = {tag["id"]: tag["name"] for tag in proposal.vocabulary_version.tags}
    ranked = sorted(proposal.candidates.all(), key=lambda candidate: candidate.rank)
    own = [place.tag for place in decision.placed_tags.all()]
    picked = [one for one in ranked if one.pk == decision.candidate_id or set(one.tags) == set(own)]
    rank, tags = (picked[0].rank, picked[0].tags) if picked else (0, own)
    if not tags or _is_overruled(decision, tags):
        return
    chosen = named(tags, names)
    for loser in ranked:
        rejected = named(loser.tags, names)
        if set(chosen) != set(rejected):  # which leaves the winner out as well
            yield PreferencePair(
                decision,
                proposal.messages,
                chosen,
                rejected,
                rank,
                loser.rank,
                tags,
                loser.tags,
                same_now=_today(tags, ends) == _today(loser.tags, ends),
                chosen_said=bool(picked) and not picked[0].composed,
                rejected_said=not loser.composed,
            )


def _is_overruled(decision: Decision, tags: list[Tag]) -> bool:
    """Whether a curator settled the document by another set."""
    given = {tag.pk for tag in tags}
    settled: list[Decision] = decision.document.settled  # type: ignore[attr-defined]
    return any({place.tag_id for place in one.placed_tags.all()} != given for one in settled)


def _today(tags: list[Tag], ends: Mapping[int, int]) -> set[int]:
    return {ends.get(tag.pk, tag.pk) for tag in tags}


def named(tags: list[Tag], names: dict[int, str]) -> list[str]:
    """The tags under the names that the model was shown.

    A tag that came into the vocabulary only later has the name of today.
    """
    return [names.get(tag.number, tag.name) for tag in tags]

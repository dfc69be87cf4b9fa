"""Preference pairs, derived from the decisions each time: the pick beats what was passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Prefetch

from review.models import Decision, DecisionKind, Document, Project, Purpose, Tag
from review.models.decision import DecisionQuerySet
from review.models.proposal import WORDS_COUNTED


class TagSet(NamedTuple):
    """A set of tags, plainly: a candidate's; with rank 0 one that a person gave of their own.

    tags: their keys; names: as the model was shown them. Both in the set's order.
    """

    rank: int
    tags: Sequence[int]
    names: Sequence[str]
    composed: bool = False
    giver: str = ""

    @property
    def said(self) -> bool:
        """Whether a model itself said it, in answer to the prompt."""
        return self.rank > 0 and not self.composed


def given(shown: Iterable[TagSet], picked: int, own: TagSet) -> TagSet:
    """What a decision gives: the one of `shown` that was picked, or that is as their own set.

    picked: its rank, 0 where none was. own: without tags where they gave none.
    """
    tags = set(own.tags)
    for one in shown:
        if one.rank == picked or set(one.tags) == tags:
            return one
    return own


def beaten(chosen: TagSet, shown: Iterable[TagSet], settled: Iterable[Set[int]]) -> list[TagSet]:
    """Those of `shown` that a set was preferred to, in their order: all that are not equal to it.

    None by "none fits", nor by a set other than the one that a curator has `settled` it by.
    """
    if not chosen.tags or any(one != set(chosen.tags) for one in settled):
        return []
    names = set(chosen.names)
    return [one for one in shown if set(one.names) != names]  # which leaves the winner out as well


def today(tags: Iterable[int], ends: Mapping[int, int]) -> frozenset[int]:
    """The keys of the tags as they became by merges; `ends`: of those that were merged."""
    return frozenset([ends.get(tag, tag) for tag in tags] if ends else tags)


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
    names = proposal.vocabulary_version.names
    sets = {one: one.tags for one in sorted(proposal.candidates.all(), key=lambda one: one.rank)}
    own = [place.tag for place in decision.placed_tags.all()]
    tags = {tag.pk: tag for one in (own, *sets.values()) for tag in one}
    shown = [
        TagSet(one.rank, [tag.pk for tag in placed], named(placed, names), one.composed)
        for one, placed in sets.items()
    ]
    picked = next((one.rank for one in sets if one.pk == decision.candidate_id), 0)
    chosen = given(shown, picked, TagSet(0, [tag.pk for tag in own], named(own, names)))
    final: list[Decision] = decision.document.settled  # type: ignore[attr-defined]
    settled = [{place.tag_id for place in one.placed_tags.all()} for one in final]
    for loser in beaten(chosen, shown, settled):
        yield PreferencePair(
            decision,
            proposal.messages,
            list(chosen.names),
            list(loser.names),
            chosen.rank,
            loser.rank,
            [tags[key] for key in chosen.tags],
            [tags[key] for key in loser.tags],
            same_now=today(chosen.tags, ends) == today(loser.tags, ends),
            chosen_said=chosen.said,
            rejected_said=loser.said,
        )


def named(tags: list[Tag], names: Mapping[int, str]) -> list[str]:
    """The tags under the names that the model was shown.

    A tag that came into the vocabulary only later has the name of today.
    """
    return [names.get(tag.number, tag.name) for tag in tags]

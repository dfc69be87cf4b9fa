"""What people decided on, read once for all the figures of the page of insight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from review.models import CandidateTag, Decision, DecisionKind, Project
from review.models.decision import DecisionTag
from review.models.proposal import WORDS_COUNTED

MOST_READ = 10_000  # decisions, the latest: each picture and file reads them anew
AT_ONCE = 5000  # ids in one query

TagSet = frozenset[int]  # ids of tags, merged ones as what they have become


class Decided(NamedTuple):
    """A person's decision that stands. rank: of the picked candidate; None where none was.

    shown: the candidates' ranks in the order of the page. rival: another model that gave some of
    the candidates; their ranks then say nothing of how good either thought them.
    """

    pk: int
    reviewer: str
    document: int
    kind: str
    proposal: int
    model: str
    prompt_version: str
    tokens_in: int  # of the proposal
    tokens_cached: int  # of those in
    tokens_out: int
    rank: int | None
    shown: list[int]
    rival: str

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @property
    def models(self) -> str:
        """All that gave candidates."""
        return f"{self.model} + {self.rival}" if self.rival else self.model


class Choice(NamedTuple):
    """The set that a decision gives, and the others of its page: each makes a pair."""

    decided: Decided
    chosen: TagSet
    rejected: list[TagSet]


def decided(project: Project) -> list[Decided]:
    """The latest reviews and skips that nobody took back, in the order of deciding.

    By people, of documents for the first time: no repeats, no curator's last words, nothing
    that was let through unseen.
    """
    rows = (
        Decision.objects.standing()
        .by_people()
        .filter(document__project=project, proposal__isnull=False)
        .order_by("-pk")
        .values_list(
            "pk",
            "reviewer__username",
            "document",
            "kind",
            "proposal",
            "proposal__model",
            "proposal__prompt_version",
            "proposal__tokens_in",
            "proposal__tokens_cached",
            "proposal__tokens_out",
            "candidate__rank",
            "shown",
            "proposal__rival_model",
        )[:MOST_READ]
    )
    return [Decided(*row) for row in reversed(rows)]


def choices(project: Project, all_decided: Sequence[Decided]) -> list[Choice]:
    """Of the picks and corrections: what won, and what it won against.

    As in pipeline/pair.py: equal sets are no choice, nor are two that merged tags have made
    equal, nor one that a curator settled otherwise, nor one between sets that no model gave.
    """
    kinds = (DecisionKind.PICK, DecisionKind.CORRECT)
    chose = [it for it in all_decided if it.kind in kinds and it.model != WORDS_COUNTED]
    ends = project.tags.ends()
    offered: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for ids in parts(sorted({it.proposal for it in chose})):
        placed = CandidateTag.objects.filter(candidate__proposal__in=ids)
        for proposal, rank, tag in placed.values_list(
            "candidate__proposal", "candidate__rank", "tag"
        ):
            offered[proposal][rank].add(ends.get(tag, tag))
    given: dict[int, set[int]] = defaultdict(set)
    for ids in parts([it.pk for it in chose if it.kind == DecisionKind.CORRECT]):
        for decision, tag in DecisionTag.objects.filter(decision__in=ids).values_list(
            "decision", "tag"
        ):
            given[decision].add(ends.get(tag, tag))
    settled = last_words(project, ends)
    found = []
    for it in chose:
        sets = offered[it.proposal]
        chosen = sets[it.rank] if it.rank is not None else given[it.pk]
        rejected = [frozenset(tags) for _, tags in sorted(sets.items()) if tags != chosen]
        if chosen and rejected and settled.get(it.document, chosen) == chosen:
            found.append(Choice(it, frozenset(chosen), rejected))
    return found


def last_words(project: Project, ends: dict[int, int]) -> dict[int, set[int]]:
    """By document: the set that a curator settled it by."""
    found: dict[int, set[int]] = {}
    final = Decision.objects.final().filter(document__project=project)
    for document, tag in final.values_list("document", "placed_tags__tag"):
        found.setdefault(document, set()).update([] if tag is None else [ends.get(tag, tag)])
    return found


def parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]

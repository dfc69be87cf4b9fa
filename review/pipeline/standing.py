"""The decisions that stand, with what they were about: read in bulk, as plain rows.

As model objects they take ten times as long, and a release reads a million of them.
"""

from __future__ import annotations

import datetime
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from review.models import (
    Candidate,
    CandidateTag,
    Decision,
    DecisionKind,
    DecisionTag,
    Project,
    Proposal,
    Purpose,
    Standing,
    SystemMessage,
    VocabularyVersion,
)
from review.models.decision import REVIEWS

from .pair import TagSet

FIRST_CHUNK, CHUNK = 125, 2000  # decisions held at once; few at first, for those who want a few
PURPOSES = [Purpose.REVIEW, Purpose.FINAL, Purpose.GOLD]
STANDING: dict[str, Any] = {
    "standing__purpose__in": PURPOSES,
    "kind__in": [*REVIEWS, DecisionKind.SETTLE],
}
OF_THEIR_OWN = {DecisionKind.CORRECT, DecisionKind.SETTLE}
NO_TAGS = TagSet(0, (), ())


@dataclass(slots=True)
class Vocabulary:
    """A version of it. shown: the names in it, by the tags' numbers.

    names: as `pair.named` has them, of all tags by their keys. known: the keys of those in it.
    """

    key: int
    sha256: str
    shown: Mapping[int, str]
    names: Mapping[int, str] = field(default_factory=dict)
    known: frozenset[int] = frozenset()


@dataclass(slots=True)
class Asked:
    """A proposal: what a model was asked, and the sets that came of it, the best rank first."""

    model: str
    rival_model: str
    prompt_version: str
    vocabulary: Vocabulary
    system: SystemMessage
    user_message: str
    sets: list[TagSet] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, str]]:
        """As Proposal.messages."""
        user = {"role": "user", "content": self.user_message}
        system = self.system.text
        return [{"role": "system", "content": system}, user] if system else [user]


@dataclass(slots=True)
class Act:
    """A decision. asked: None where it is about no proposal.

    picked: the rank of the candidate, 0 for none; own: the set that they gave, without tags for
    none. shown: the ranks in the order of the page. is_gold: they were measured by it.
    """

    key: int
    document: int
    external_id: str
    sha256: str
    kind: str
    reviewer: int
    created_at: datetime.datetime
    uuid: uuid.UUID
    shown: list[int]
    is_gold: bool
    asked: Asked | None
    picked: int
    own: TagSet


class Reading:
    """One reading of a project's decisions. Memory does not grow with their number.

    numbers: of the project's tags, by their keys. merged: the keys of those that became others.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.numbers: dict[int, int] = {}
        self.merged: frozenset[int] = frozenset()
        self._vocabularies: dict[int, Vocabulary] = {}
        self._systems: dict[int, SystemMessage] = {}

    def chunks(self) -> Iterator[list[list[Act]]]:
        """Yield some documents at a time, each as its decisions; all in the order of arrival."""
        last: int | None = 0
        size = FIRST_CHUNK
        while last is not None:
            end = self._end(last, size)
            acts = self._acts(last, end)
            yield [list(group) for _key, group in groupby(acts, attrgetter("document"))]
            last, size = end, min(2 * size, CHUNK)

    def _end(self, after: int, size: int) -> int | None:
        """The last document of the next chunk; None where it takes all that is left."""
        there = Standing.objects.filter(
            document__project=self.project, document__gt=after, purpose__in=PURPOSES
        )
        ends = there.order_by("document").values_list("document", flat=True)
        return next(iter(ends[size - 1 : size]), None)

    def _acts(self, after: int, end: int | None) -> list[Act]:
        found = Decision.objects.filter(
            document__project=self.project, document__gt=after, **STANDING
        )
        if end is not None:
            found = found.filter(document__lte=end)
        rows: list[Any] = list(
            found.order_by("document", "pk").values_list(
                *("pk", "document", "document__external_id", "document__sha256", "kind"),
                *("reviewer", "created_at", "key", "shown", "standing__purpose"),
                *("proposal", "candidate"),
            )
        )
        given = _given([row[0] for row in rows if row[4] in OF_THEIR_OWN])
        asked, ranks = self._asked({row[10] for row in rows if row[10] is not None})
        acts = []
        for row in rows:
            about = asked.get(row[10])
            is_gold = row[9] == Purpose.GOLD
            own = NO_TAGS
            if row[0] in given:
                tags = given[row[0]]
                own = TagSet(0, tags, _named(tags, about.vocabulary) if about else ())
            acts.append(Act(*row[:9], is_gold, about, ranks.get(row[11], 0), own))  # type: ignore[call-arg]
        return acts

    def _asked(self, keys: Collection[int]) -> tuple[dict[int, Asked], dict[int, int]]:
        """The proposals by their keys; and the ranks of their candidates, by the candidates'."""
        proposals = Proposal.objects.filter(pk__in=keys).values_list(
            *("pk", "model", "rival_model", "prompt_version"),
            *("vocabulary_version", "system_message", "user_message"),
        )
        candidates = Candidate.objects.filter(proposal__in=keys).order_by("proposal", "rank")
        sets = list(candidates.values_list("pk", "proposal", "rank", "composed", "giver"))
        placed = CandidateTag.objects.filter(candidate__proposal__in=keys)
        tags = _grouped(placed.order_by("candidate", "position").values_list("candidate", "tag"))
        found = self._described(list(proposals))
        ranks = {}
        for candidate, proposal, rank, composed, giver in sets:
            about, its = found[proposal], tags[candidate]
            about.sets.append(TagSet(rank, its, _named(its, about.vocabulary), composed, giver))
            ranks[candidate] = rank
        return found, ranks

    def _described(self, rows: list[Any]) -> dict[int, Asked]:
        """The proposals of these rows, without their sets. Reads the tags: after what has them."""
        new = {row[4] for row in rows} - self._vocabularies.keys()
        for version in VocabularyVersion.objects.filter(pk__in=new):
            self._vocabularies[version.pk] = Vocabulary(version.pk, version.sha256, version.names)
        systems = {row[5] for row in rows} - self._systems.keys()
        self._systems |= SystemMessage.objects.in_bulk(systems)
        tags = list(self.project.tags.order_by().values_list("pk", "number", "name", "merged_into"))
        self.numbers = {key: number for key, number, _name, _into in tags}
        self.merged = frozenset(key for key, _number, _name, into in tags if into is not None)
        for one in self._vocabularies.values():
            shown = one.shown
            one.names = {key: shown.get(number, name) for key, number, name, _into in tags}
            one.known = frozenset(key for key, number, _name, _into in tags if number in shown)
        return {
            row[0]: Asked(
                *(row[1], row[2], row[3]),
                self._vocabularies[row[4]],
                self._systems[row[5]],
                row[6],
            )
            for row in rows
        }


def _given(decisions: list[int]) -> dict[int, list[int]]:
    """The keys of the tags that these gave of their own, in their order."""
    placed = DecisionTag.objects.filter(decision__in=decisions).order_by("decision", "position")
    return _grouped(placed.values_list("decision", "tag"))


def _grouped(rows: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for key, tag in rows:
        found[key].append(tag)
    return found


def _named(tags: list[int], vocabulary: Vocabulary) -> list[str]:
    names = vocabulary.names
    return [names[tag] for tag in tags]

"""Decisions become links of a chain, in batches: by the sweeper, and before a release is made.

A link holds the hash of the last one and of all that makes the decision what it is: who, on
which document, what was chosen, in which order the sets were shown, which sets these were, what
the model was sent, and when. So nobody changes an old one unseen without changing all that came
after it, and the heads that releases have named since (see verify.py). People are in it by a
key only: see models/chain.py. A pick waits for none of this.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from review.models import CandidateTag, Decision, DecisionTag, Link, Person, Project

AT_ONCE = 1_000  # decisions sealed in one transaction
READ = 100  # decisions whose prompts are in memory at once
# A decision may be committed after others with higher numbers: so many are looked at again. What
# comes later still is sealed before the next release, which looks at all of them.
OVERLAP = 10_000

NO_LINK = "0" * 64  # what the first link has for the hash of the one before it
DIGITS = 6  # of each part's hash

# What each part of a decision says, in their order.
PARTS = (
    "the document",
    "the reviewer",
    "the choice",
    "the order shown",
    "the sets shown",
    "what the model was sent",
    "the time",
)

READ_OF_EACH = (
    "pk",
    "document__project",
    "document__external_id",
    "reviewer",
    "key",
    "kind",
    "candidate__proposal",
    "candidate__rank",
    "skip_reason",
    "note",
    "undoes__key",
    "shown",
    "proposal",
    "proposal__model",
    "proposal__rival_model",
    "proposal__prompt_version",
    "proposal__vocabulary_version__sha256",
    "proposal__system_message__sha256",
    "proposal__user_message",
    "milliseconds",
    "created_at",
)

# By rank: whether it was put together, whose it is, and its tags' numbers.
Sets = dict[int, tuple[bool, str, list[int]]]
Told = Callable[[int], None]  # decisions looked at


@dataclass(frozen=True)
class Head:
    """The last link. Position 0: there is none yet."""

    position: int
    sha256: str

    def as_dict(self) -> dict[str, int | str]:
        return {"position": self.position, "sha256": self.sha256}


@dataclass(frozen=True)
class Content:
    """What a decision says: one JSON text for each of PARTS, in canonical form."""

    document: str
    at: datetime.datetime
    parts: Sequence[str]

    def after(self, last: str) -> str:
        """The hash of its link, after the one with the hash `last`."""
        return hashlib.sha256("\n".join([last, *self.parts]).encode()).hexdigest()

    @property
    def digests(self) -> str:
        """Of each part the first digits of its hash: to tell later which one was changed."""
        return "".join(hashlib.sha256(part.encode()).hexdigest()[:DIGITS] for part in self.parts)


@dataclass
class People:
    """The reviewers' keys, as far as they were asked for."""

    keys: dict[int, str] = field(default_factory=dict)

    def learn(self, reviewers: Collection[int], new: bool) -> None:
        """new: make keys for those who have none."""
        unknown = set(reviewers) - set(self.keys)
        if not unknown:
            return
        if new:
            has = Person.objects.filter(user__in=unknown).values_list("user", flat=True)
            made = [Person(user_id=user) for user in sorted(unknown - set(has))]
            Person.objects.bulk_create(made, ignore_conflicts=True)  # or another has just now
        found = Person.objects.filter(user__in=unknown).values_list("user", "key")
        self.keys |= {user: key.hex for user, key in found}


def head() -> Head:
    last = Link.objects.order_by("-position").values_list("position", "sha256").first()
    return Head(*last) if last else Head(0, NO_LINK)


def seal(*, whole: bool = True, seconds: float | None = None, told: Told | None = None) -> int:
    """Seal what is not sealed yet; returns how many. Memory does not grow with their number.

    whole: look at all decisions, not only at the latest. Of two at once, each batch is one's;
    the other looks again. After `seconds` the rest is left for the next time.
    """
    began, people, sealed = time.monotonic(), People(), 0
    after = 0 if whole else _watermark()
    while keys := _keys(after):
        if told:
            told(sealed)
        last = head()
        try:
            sealed += _seal(_without_link(keys), last, people)
        except IntegrityError:
            if head() == last:
                raise
            continue  # another has sealed some of these just now
        after = keys[-1]
        if seconds is not None and time.monotonic() - began > seconds:
            break
    return sealed


def _watermark() -> int:
    """Decisions up to this one were looked at, long enough after they were made."""
    last = Link.objects.aggregate(last=Max("decision"))["last"] or 0
    return max(last - OVERLAP, 0)


def _keys(after: int) -> list[int]:
    decisions = Decision.objects.filter(pk__gt=after).order_by("pk")
    return list(decisions.values_list("pk", flat=True)[:AT_ONCE])


def _without_link(keys: Sequence[int]) -> list[int]:
    """keys: in order, none between them left out."""
    linked = Link.objects.filter(decision__gte=keys[0], decision__lte=keys[-1])
    sealed = set(linked.values_list("decision", flat=True))
    return [key for key in keys if key not in sealed]


def unsealed(project: Project | None) -> Iterator[tuple[int, datetime.datetime]]:
    """Yield the decisions that are no links yet, each with its time; a project's, or all."""
    after = 0
    while keys := _keys(after):
        after = keys[-1]
        found = Decision.objects.filter(pk__in=_without_link(keys)).order_by("pk")
        if project:
            found = found.filter(document__project=project)
        yield from found.values_list("pk", "created_at")


def _seal(keys: Sequence[int], last: Head, people: People) -> int:
    if not keys:
        return 0
    position, sha256, links = last.position, last.sha256, []
    for key, content in contents(keys, people, new=True):
        position, sha256 = position + 1, content.after(sha256)
        links.append(Link(position=position, decision_id=key, sha256=sha256, parts=content.digests))
    with transaction.atomic():
        Link.objects.bulk_create(links)
    return len(links)


def contents(
    keys: Sequence[int], people: People, new: bool = False
) -> Iterator[tuple[int, Content]]:
    """Yield what each of these decisions says, in the order of their numbers.

    Those that are gone are left out. Names no rows by their numbers but the project, and no
    person by their name; tags by their public numbers, which never change.
    """
    decisions = Decision.objects.filter(pk__in=keys)
    people.learn(set(decisions.values_list("reviewer", flat=True)), new)
    own: dict[int, list[int]] = defaultdict(list)
    placed = DecisionTag.objects.filter(decision__in=keys).order_by("decision", "position")
    for decision, tag in placed.values_list("decision", "tag__number"):
        own[decision].append(tag)
    sets = _sets(keys)
    rows = decisions.order_by("pk").values_list(*READ_OF_EACH, named=True)
    for row in rows.iterator(chunk_size=READ):
        yield row.pk, _content(row, people.keys.get(row.reviewer), sets, own.get(row.pk, []))


def _content(row: Any, reviewer: str | None, sets: dict[int, Sets], own: list[int]) -> Content:
    """own: the tags of a set of their own."""
    picked = sets.get(row.candidate__proposal, {}).get(row.candidate__rank)
    message = row.proposal__user_message
    return Content(
        row.document__external_id,
        row.created_at,
        [
            _canonical(part)
            for part in (
                [row.document__project, row.document__external_id],
                reviewer,
                [
                    row.key.hex,
                    row.kind,
                    row.candidate__rank,
                    picked and picked[-1],
                    own,
                    row.skip_reason,
                    row.note,
                    row.undoes__key and row.undoes__key.hex,
                ],
                row.shown,
                sorted(sets.get(row.proposal, {}).items()),
                [
                    row.proposal__model,
                    row.proposal__rival_model,
                    row.proposal__prompt_version,
                    row.proposal__vocabulary_version__sha256,
                    row.proposal__system_message__sha256,
                    message if message is None else hashlib.sha256(message.encode()).hexdigest(),
                ],
                [
                    row.created_at.astimezone(datetime.UTC).isoformat("T", "microseconds"),
                    row.milliseconds,
                ],
            )
        ],
    )


def _sets(keys: Sequence[int]) -> dict[int, Sets]:
    """By proposal and rank: the sets that were to be chosen from."""
    about = Decision.objects.filter(pk__in=keys)
    proposals: set[int] = set()
    for pair in about.values_list("proposal", "candidate__proposal"):
        proposals.update(one for one in pair if one is not None)
    placed = (
        CandidateTag.objects.filter(candidate__proposal__in=proposals)
        .order_by("candidate__proposal", "candidate__rank", "position")
        .values_list(
            "candidate__proposal",
            "candidate__rank",
            "candidate__composed",
            "candidate__giver",
            "tag__number",
        )
    )
    found: dict[int, Sets] = defaultdict(dict)
    for proposal, rank, composed, giver, tag in placed:
        found[proposal].setdefault(rank, (composed, giver, []))[-1].append(tag)
    return found


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

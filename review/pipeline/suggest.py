"""What the data suggest to a curator of the tag list; each looks at what is latest, no further."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db.models.functions import Left

from review.models import CandidateTag, Decision, DecisionKind, Document, Project, Purpose, Tag
from review.models.decision import DecisionQuerySet

from .vocabulary import plain

LATELY = 5_000  # decisions
READ = 2_000  # documents
START = 400  # characters of each
MOST_SHOWN = 20
FEWEST = 3  # documents that have a name, or decisions that swap a pair, before it is suggested
SAMPLE = 3

# A name: capitals inside or before (FastAPI, SQL, Django), or a word of a title.
NAME = re.compile(r"\b[A-Z][\w+#-]*[\w+#]")
WORD = re.compile(r"\b[^\W\d_][\w+#-]*[\w+#]")
COMMON_WORDS = """
a about after all also an and any are as at be been before but by can com do does document for
from get has have here how if important in info install installation into introduction is it its
license more my new no not note of on one only or other our out overview please project readme
see simple some support than that the their there these this to under up usage use used using
version was warning we what when where which while who why will with without you your
documentation getting started quickstart quick start features example examples library package
python module modules code file files provides makes supports build builds requirements
"""
COMMON = frozenset(COMMON_WORDS.split())


@dataclass(frozen=True)
class Swap:
    """People gave `given` where the model had said `passed_over`, all else being equal."""

    passed_over: Tag
    given: Tag
    count: int
    samples: list[Document]


@dataclass(frozen=True)
class Missing:
    name: str
    count: int  # documents
    samples: list[Document]


@dataclass
class _Seen:
    count: int = 0
    samples: list[int] = field(default_factory=list)

    def add(self, document: int) -> None:
        self.count += 1
        if len(self.samples) < SAMPLE:
            self.samples.append(document)


def never_used(project: Project) -> list[Tag]:
    """Active tags that no proposal and no person has given, as far as uses are counted."""
    idle = project.tags.active().exclude(use__proposed__gt=0).exclude(use__picked__gt=0)
    return list(idle.exclude(use__corrected_in__gt=0).order_by("name"))


def swapped(project: Project) -> list[Swap]:
    """Pairs of tags that reviewers swap for one another: near-synonyms, or badly described."""
    found: dict[tuple[int, int], _Seen] = {}
    decisions = _lately(project).filter(kind__in=GIVES)
    given = decisions.tag_sets()
    passed_over = _passed_over(project, decisions)
    for pk, proposal, document in decisions.values_list("pk", "proposal", "document"):
        chosen = given.get(pk, frozenset())
        for passed in passed_over.get(proposal, []):
            if len(passed - chosen) == len(chosen - passed) == 1:
                pair = (*(passed - chosen), *(chosen - passed))
                found.setdefault((pair[0], pair[1]), _Seen()).add(document)
    often = sorted(found.items(), key=lambda one: -one[1].count)[:MOST_SHOWN]
    often = [(pair, seen) for pair, seen in often if seen.count >= FEWEST]
    tags = Tag.objects.in_bulk({pk for pair, _seen in often for pk in pair})
    documents = _documents(pk for _pair, seen in often for pk in seen.samples)
    return [
        Swap(tags[a], tags[b], seen.count, [documents[pk] for pk in seen.samples])
        for (a, b), seen in often
    ]


def none_fitted(project: Project) -> list[Decision]:
    """The latest documents that no tag fits, with what the reviewer wrote."""
    found = _lately(project).filter(kind=DecisionKind.NONE)
    found = found.select_related("document", "reviewer").defer("document__text", "document__html")
    return list(found.order_by("-pk")[:MOST_SHOWN])


def missing(project: Project) -> list[Missing]:
    """Names that many of the latest documents begin with, and that no tag or synonym is."""
    known = set()
    for tag in project.tags.all():
        known |= {plain(name) for name in (tag.name, *map(str, tag.synonyms))}
    latest = project.documents.order_by("-pk").annotate(start=Left("text", START))
    seen: dict[str, _Seen] = {}
    spelt: dict[str, Counter[str]] = {}
    for pk, title, start in latest.values_list("pk", "title", "start")[:READ]:
        names = {plain(name): name for name in _names(title, start)}
        for key, name in names.items():
            if key not in known and key.rstrip("s") not in known and key not in COMMON:
                seen.setdefault(key, _Seen()).add(pk)
                spelt.setdefault(key, Counter())[name] += 1
    often = sorted(seen.items(), key=lambda one: (-one[1].count, one[0]))[:MOST_SHOWN]
    often = [(key, one) for key, one in often if one.count >= FEWEST]
    documents = _documents(pk for _key, one in often for pk in one.samples)
    return [
        Missing(
            spelt[key].most_common(1)[0][0],
            one.count,
            [documents[pk] for pk in one.samples if pk in documents],
        )
        for key, one in often
    ]


GIVES = (DecisionKind.PICK, DecisionKind.CORRECT, DecisionKind.SETTLE)


def _lately(project: Project) -> DecisionQuerySet:
    """The latest reviews and settled sets that stand."""
    decisions = Decision.objects.filter(
        document__project=project, standing__purpose__in=[Purpose.REVIEW, Purpose.FINAL]
    )
    first = min(decisions.order_by("-pk").values_list("pk", flat=True)[:LATELY], default=0)
    return decisions.filter(pk__gte=first)


def _passed_over(project: Project, decisions: DecisionQuerySet) -> dict[int, list[set[int]]]:
    """By proposal: its sets of tags, as they are read now."""
    ends = project.tags.ends()
    sets: dict[tuple[int, int], set[int]] = {}
    placed = CandidateTag.objects.filter(candidate__proposal__in=decisions.values("proposal"))
    for *candidate, tag in placed.values_list("candidate__proposal", "candidate", "tag"):
        sets.setdefault((candidate[0], candidate[1]), set()).add(ends.get(tag, tag))
    found: dict[int, list[set[int]]] = {}
    for (proposal, _candidate), tags in sets.items():
        found.setdefault(proposal, []).append(tags)
    return found


def _names(title: str, start: str) -> Iterator[str]:
    for name in (*WORD.findall(title), *NAME.findall(start)):
        if 2 <= len(name) <= 40:
            yield name


def _documents(keys: Iterator[int]) -> dict[int, Document]:
    return Document.objects.only("external_id", "title").in_bulk(set(keys))

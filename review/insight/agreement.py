"""How far reviewers agree with one another, and each with themselves.

Two sets of tags are compared by MASI, which counts sets with a part in common as partly
alike: R. Passonneau, "Measuring Agreement on Set-valued Items (MASI) for Semantic and
Pragmatic Annotation", LREC 2006. What is left of that when chance is taken off is
Krippendorff's alpha: K. Krippendorff, "Content Analysis", 4th ed., 2019, chapter 12.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from django.contrib.auth.models import User

from review.models import Decision, DocumentState, Project, Repeat
from review.models.decision import REVIEWS

TagSet = frozenset[int]  # ids of tags; "none fits" is the empty set

MOST_READ = 4000  # reviews, the latest; alpha costs the square of how many sets are among them
FEWEST = 10  # documents; below that alpha is a matter of luck

# Others wait for the model, or are put away.
COUNTED_IN = [DocumentState.READY, DocumentState.REVIEWED, DocumentState.DISPUTED]


class Judgement(NamedTuple):
    """That a person gave a document this set."""

    reviewer: int
    document: int
    tags: TagSet


@dataclass(frozen=True)
class Agreement:
    """How alike sets are: of several people on the same documents, or of one person, twice.

    equal: the share of documents on which all gave one set. similarity: the mean of 1 - MASI
    over every two sets of a document. Both None without documents. alpha: 1 where all is
    equal, 0 for what chance would give, below 0 for worse; None where it cannot be told.
    """

    documents: int
    equal: float | None
    similarity: float | None
    alpha: float | None


@dataclass(frozen=True)
class Pair:
    one: str
    other: str
    agreement: Agreement


@dataclass(frozen=True)
class Report:
    together: Agreement
    pairs: list[Pair]  # those with the most documents in common first
    selves: list[tuple[str, Agreement]]  # by the name of the person; their alpha is not told


def report(project: Project) -> Report:
    """Of the latest documents that more than one person decided on; and of the repeats."""
    judgements = _latest(project)
    people = {judgement.reviewer for judgement in judgements}
    names = dict(User.objects.filter(pk__in=people).values_list("pk", "username"))
    pairs = [
        Pair(names[one], names[other], agreement_of(shared))
        for (one, other), shared in _by_pair(judgements).items()
    ]
    pairs.sort(key=lambda pair: (-pair.agreement.documents, pair.one, pair.other))
    return Report(agreement_of(judgements), pairs, selves(project))


def selves(project: Project) -> list[tuple[str, Agreement]]:
    """How far each person decides alike when a document comes back to them; by name."""
    again = _repeats(project)
    names = dict(User.objects.filter(pk__in=again).values_list("pk", "username"))
    return sorted((names[person], compared(sets)) for person, sets in again.items())


def masi(one: TagSet, other: TagSet) -> float:
    """Passonneau's distance, 0 to 1: of equal sets 0, of sets without a tag in common 1.

    Between these, 1 - J·M: J is Jaccard's share of the tags in common; M is 2/3 where one
    set holds the other, 1/3 where each has tags of its own.
    """
    if one == other:
        return 0.0
    if one.isdisjoint(other):
        return 1.0
    common = len(one & other)
    monotone = 2 / 3 if common == min(len(one), len(other)) else 1 / 3
    return 1 - monotone * common / len(one | other)


def alpha(judgements: list[Judgement]) -> float | None:
    """Krippendorff's alpha with the MASI distance.

    None where there is no chance to compare with: no document has two sets, or all sets are
    the same one.
    """
    # Imported only here: it is large, and most pages never ask.
    from nltk.metrics.agreement import AnnotationTask

    by_document: dict[int, list[TagSet]] = defaultdict(list)
    for judgement in judgements:
        by_document[judgement.document].append(judgement.tags)
    compared = [sets for sets in by_document.values() if len(sets) > 1]
    if len({tags for sets in compared for tags in sets}) < 2:
        return None
    found = float(AnnotationTask(judgements, distance=masi).alpha())
    return found if math.isfinite(found) else None


def agreement_of(judgements: list[Judgement]) -> Agreement:
    """Of several people's sets; documents that only one of them decided on do not count."""
    by_document: dict[int, list[TagSet]] = defaultdict(list)
    for judgement in judgements:
        by_document[judgement.document].append(judgement.tags)
    several = [sets for sets in by_document.values() if len(sets) > 1]
    told = alpha(judgements) if len(several) >= FEWEST else None
    return compared(several, told)


def compared(by_document: list[list[TagSet]], alpha: float | None = None) -> Agreement:
    """Of two sets or more for each document."""
    if not by_document:
        return Agreement(0, None, None, None)
    likes = [1 - masi(*two) for sets in by_document for two in combinations(sets, 2)]
    equal = sum(len(set(sets)) == 1 for sets in by_document)
    documents = len(by_document)
    return Agreement(documents, equal / documents, sum(likes) / len(likes), alpha)


def _latest(project: Project) -> list[Judgement]:
    """The reviews of the latest documents that have more than one."""
    # Naming both values of `pinned` lets the index `document_queue` find them by their reviews.
    several = project.documents.filter(
        state__in=COUNTED_IN, pinned__in=[False, True], reviews__gt=1
    )
    documents = []
    read = 0
    for document, reviews in several.order_by("-pk").values_list("pk", "reviews")[:MOST_READ]:
        read += reviews
        if read > MOST_READ:
            break
        documents.append(document)
    reviewed = Decision.objects.standing().filter(document__in=documents, kind__in=REVIEWS)
    sets = reviewed.tag_sets()
    return [
        Judgement(reviewer, document, sets[review])
        for review, reviewer, document in reviewed.values_list("pk", "reviewer", "document")
        if review in sets  # it may have come just now
    ]


def _by_pair(judgements: list[Judgement]) -> dict[tuple[int, int], list[Judgement]]:
    """By every two people: what both said on the documents that both decided on."""
    by_document: dict[int, list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_document[judgement.document].append(judgement)
    found: dict[tuple[int, int], list[Judgement]] = defaultdict(list)
    for said in by_document.values():
        for one, other in combinations(sorted(said, key=lambda one: one.reviewer), 2):
            found[one.reviewer, other.reviewer] += [one, other]
    return found


def _repeats(project: Project) -> dict[int, list[list[TagSet]]]:
    """By person: the two sets that they gave the same document, of the latest repeats."""
    answered = Repeat.objects.filter(
        first__document__project=project,
        first__standing__isnull=False,
        second__standing__isnull=False,
        second__kind__in=REVIEWS,
    )
    latest = list(
        answered.order_by("-pk").values_list("reviewer", "first", "second")[: MOST_READ // 2]
    )
    both = [decision for _, *decisions in latest for decision in decisions]
    sets = Decision.objects.filter(pk__in=both).tag_sets()
    found: dict[int, list[list[TagSet]]] = defaultdict(list)
    for person, first, second in latest:
        found[person].append([sets[first], sets[second]])
    return found

"""Kept measurements, read again: what was proposed, and two runs beside one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from review.models import EvaluatedDocument, Evaluation

from .compare import Difference, changed, differences
from .quality import Judged


@dataclass(frozen=True)
class Changed:
    """A document whose F1 differs between two runs; what was proposed is of their first passes."""

    first: EvaluatedDocument
    second: EvaluatedDocument
    first_f1: float
    second_f1: float


@dataclass(frozen=True)
class Comparison:
    """Over the documents that both runs have, with the same labels.

    left_out: how many documents of either run the other does not have so.
    """

    differences: list[Difference]
    better: list[Changed]
    worse: list[Changed]
    documents: int
    left_out: int


def judged(document: EvaluatedDocument) -> Judged:
    candidates = tuple(tuple(tags) for tags in document.candidates)
    return Judged(tuple(document.best), tuple(document.acceptable), candidates)


def passes(documents: Iterable[EvaluatedDocument]) -> list[list[Judged]]:
    """By pass, in the order of the documents; they come in that order."""
    found: dict[int, list[Judged]] = {}
    for document in documents:
        found.setdefault(document.repeat, []).append(judged(document))
    return list(found.values())


def compared(first: Evaluation, second: Evaluation) -> Comparison | None:
    """The second run against the first; None where they have no document in common."""
    ours, theirs = by_document(first), by_document(second)
    common = [key for key in ours if key in theirs]
    if not common:
        return None
    before, now = _side(ours, common), _side(theirs, common)
    moved = [
        Changed(ours[common[place]][0], theirs[common[place]][0], one, other)
        for place, one, other in changed(before, now)
    ]
    return Comparison(
        differences(before, now),
        better=[one for one in reversed(moved) if one.second_f1 > one.first_f1],
        worse=[one for one in moved if one.second_f1 < one.first_f1],
        documents=len(common),
        left_out=len(ours) + len(theirs) - 2 * len(common),
    )


Key = tuple[str, tuple[str, ...], tuple[str, ...]]


def by_document(evaluation: Evaluation) -> dict[Key, list[EvaluatedDocument]]:
    """Each document's passes, by its id and its labels."""
    found: dict[Key, list[EvaluatedDocument]] = {}
    for document in evaluation.judged.all():
        labels = tuple(sorted(document.best)), tuple(sorted(document.acceptable))
        found.setdefault((document.external_id, *labels), []).append(document)
    return found


def _side(found: dict[Key, list[EvaluatedDocument]], common: Sequence[Key]) -> list[list[Judged]]:
    """By pass, the common documents in one order."""
    return [
        [judged(one) for one in its] for its in zip(*(found[key] for key in common), strict=True)
    ]

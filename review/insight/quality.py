"""How good proposals are, against labels: the measures, each with its definition and source.

A document's labels are `best`, the tags that a careful editor would give, and `acceptable`,
further ones that nobody should mark as wrong. Its proposal is up to three candidates; unless
another is named, a measure looks at the first. A document without a proposal counts as one
without tags: 0 wherever tags are hoped for. Names are compared as they are: strip them before.

The field's reference is Annif's evaluation (github.com/NatLibFi/Annif, annif/eval.py). What it
has too is defined as there: the measures "(doc avg)" and "(microavg)", Precision@k, NDCG@k. We
differ in three things. It averages over the subjects of the whole vocabulary, "(subj avg)", we
over those that occur (see `macro_f1`). It ranks by scores, we by the candidate's own order: a
language model gives no score for each tag. And it knows no acceptable tags and no three
candidates to choose from: `acceptable`, `hit` and all measures of the three are our own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

Tags = tuple[str, ...]

# Above and below the line of a fraction. A measure of many documents is the sum of what stands
# above, over the sum of what stands below: with 1 below, it is the mean over the documents.
Part = tuple[float, float]


@dataclass(frozen=True)
class Judged:
    """A document's labels, and what was proposed: the model's first candidate first."""

    best: Tags
    acceptable: Tags
    candidates: tuple[Tags, ...]

    @property
    def first(self) -> Tags:
        return self.candidates[0] if self.candidates else ()

    @property
    def fitting(self) -> set[str]:
        """All tags that are no error."""
        return {*self.best, *self.acceptable}


@dataclass(frozen=True)
class TagQuality:
    """How one tag was given. support: the documents that have it among their best tags.

    precision: of the documents that were given it, the share that have it among their best;
    recall: the reverse. None where there is no such document. scikit-learn's
    `precision_recall_fscore_support` with average=None.
    """

    name: str
    support: int
    given: int
    precision: float | None
    recall: float | None


def f1(tags: Tags, best: Tags) -> float:
    """Twice the tags in common over the tags of both: the harmonic mean of precision and recall.

    Source: C. J. van Rijsbergen, "Information Retrieval", 2nd ed., 1979, chapter 7 (E = 1 - F).
    """
    together = len(set(tags)) + len(set(best))
    return 2 * len(set(tags) & set(best)) / together if together else 1.0


def distance(candidates: Sequence[Sequence[str]]) -> float:
    """How much sets differ: the mean Jaccard distance of all pairs, 0 to 1; 0 for one set."""
    distances = [
        1 - len(set(one) & set(other)) / len(set(one) | set(other))
        for one, other in combinations(candidates, 2)
    ]
    return sum(distances) / len(distances) if distances else 0.0


# --- The measures of a document ---------------------------------------------------------


def document_f1(it: Judged) -> Part:
    """The F1 of the first candidate against `best`; of many documents, their mean.

    Annif's "F1 score (doc avg)"; scikit-learn's f1_score with average="samples".
    """
    return f1(it.first, it.best), 1


def micro_f1(it: Judged) -> Part:
    """The F1 of all (document, tag) pairs together: long and short sets weigh by their tags.

    Annif's "F1 score (microavg)"; scikit-learn's f1_score with average="micro".
    """
    return 2 * len(set(it.first) & set(it.best)), len(set(it.first)) + len(set(it.best))


def acceptable(it: Judged) -> Part:
    """The share of the proposed tags, of all documents together, that are best or acceptable.

    Our own. One without any tags proposed has no part in it.
    """
    return len(set(it.first) & it.fitting), len(set(it.first))


def hit(it: Judged) -> Part:
    """The share of documents that got at least one best tag.

    Known as success or hit rate at k, with k the length of the candidate.
    """
    return float(not set(it.first).isdisjoint(it.best)), 1


def precision_at_1(it: Judged) -> Part:
    """The share of documents whose first tag is a best one. Annif's "Precision@1"."""
    return _precision(it, 1), 1


def precision_at_3(it: Judged) -> Part:
    """Of the first three tags, the share that are best ones; then the mean over the documents.

    As Annif's "Precision@3" it divides by the tags that there are: one right tag and no other
    is 1, not 1/3.
    """
    return _precision(it, 3), 1


def ndcg_at_3(it: Judged) -> Part:
    """Whether best tags come first: gains of 1 / log2(1 + place), over those of a perfect order.

    A best tag gains 1 whatever its place among the best. Perfect is min(3, best tags) of them
    and nothing before. Annif's "NDCG@k"; scikit-learn's ndcg_score with k=3. Source: K. Järvelin
    and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 20 (4), 2002.
    """
    gains = [1 / math.log2(place + 2) for place in range(3)]
    found = sum(gain for gain, tag in zip(gains, it.first, strict=False) if tag in it.best)
    perfect = sum(gains[: len(set(it.best))])
    return (found / perfect if perfect else 1.0), 1


def jaccard(it: Judged) -> Part:
    """Tags in common over tags of either; the mean over the documents.

    scikit-learn's jaccard_score with average="samples"; Annif has none.
    """
    either = set(it.first) | set(it.best)
    return (len(set(it.first) & set(it.best)) / len(either) if either else 1.0), 1


def subset_accuracy(it: Judged) -> Part:
    """The share of documents whose first candidate is exactly the best tags, in any order.

    scikit-learn's accuracy_score of multilabel data; Annif has none.
    """
    return float(set(it.first) == set(it.best)), 1


def tags_per_document(it: Judged) -> Part:
    """How many tags the first candidate has."""
    return len(set(it.first)), 1


def best_of_three_f1(it: Judged) -> Part:
    """The F1 of that candidate which has the highest: what a reviewer can pick. Our own.

    Known as oracle or best-of-n score. It never falls with more candidates: compare it only
    between runs with as many.
    """
    return max((f1(tags, it.best) for tags in it.candidates), default=f1((), it.best)), 1


def pickable(it: Judged) -> Part:
    """The share of documents where some candidate is wholly best or acceptable. Our own.

    There a reviewer finds nothing wrong. That nothing is missing, it does not say.
    """
    fitting = it.fitting
    return float(any(tags and set(tags) <= fitting for tags in it.candidates)), 1


def candidates_differ(it: Judged) -> Part:
    """The mean Jaccard distance between the candidates; 0 where there are fewer than two."""
    return distance(it.candidates), 1


def candidate_count(it: Judged) -> Part:
    """How many different candidates there are to choose from."""
    return len({frozenset(tags) for tags in it.candidates}), 1


def _precision(it: Judged, k: int) -> float:
    shown = it.first[:k]
    return sum(tag in it.best for tag in shown) / len(shown) if shown else 0.0


# In the order of the tables.
MEASURES: dict[str, Callable[[Judged], Part]] = {
    "document_f1": document_f1,
    "micro_f1": micro_f1,
    "acceptable": acceptable,
    "hit": hit,
    "precision_at_1": precision_at_1,
    "precision_at_3": precision_at_3,
    "ndcg_at_3": ndcg_at_3,
    "jaccard": jaccard,
    "subset_accuracy": subset_accuracy,
    "tags_per_document": tags_per_document,
    "best_of_three_f1": best_of_three_f1,
    "pickable": pickable,
    "candidates_differ": candidates_differ,
    "candidate_count": candidate_count,
}


# --- Of many documents ------------------------------------------------------------------


def ratio(parts: Sequence[Part]) -> float:
    below = sum(part[1] for part in parts)
    return sum(part[0] for part in parts) / below if below else 0.0


def measure(judged: Sequence[Judged], vocabulary: int) -> dict[str, float]:
    """All measures of one pass over the documents; `vocabulary`: how many tags there are."""
    found = {name: ratio([of(it) for it in judged]) for name, of in MEASURES.items()}
    found["macro_f1"] = macro_f1(judged)
    found["coverage"] = coverage(judged, vocabulary)
    return found


def averaged(passes: Sequence[Sequence[Judged]], vocabulary: int) -> dict[str, float]:
    """The mean of each measure over several passes: the same documents, other seeds."""
    found = [measure(judged, vocabulary) for judged in passes]
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def macro_f1(judged: Sequence[Judged]) -> float:
    """The mean over the tags of each one's F1: rare tags weigh as much as common ones.

    Over the tags that occur, among the best or in a first candidate, as scikit-learn's f1_score
    with average="macro" over such labels. Annif's "F1 score (subj avg)" takes the whole
    vocabulary, where a tag that occurs nowhere counts 0: with few documents that says more of
    their number than of the proposals.
    """
    parts = [tag_part(judged, name) for name in occurring(judged)]
    return sum(2 * both / total for both, total in parts) / len(parts) if parts else 0.0


def coverage(judged: Sequence[Judged], vocabulary: int) -> float:
    """The share of the vocabulary's tags that a first candidate has at least once.

    Known from recommender systems as catalogue coverage. It grows with the number of documents:
    compare it only between runs over the same ones.
    """
    return len({tag for it in judged for tag in it.first}) / vocabulary if vocabulary else 0.0


def occurring(judged: Sequence[Judged]) -> list[str]:
    return sorted({tag for it in judged for tag in (*it.best, *it.first)})


def tag_part(judged: Sequence[Judged], name: str) -> Part:
    """Documents that have the tag and were given it; those that have it, plus those given it."""
    has = [name in it.best for it in judged]
    given = [name in it.first for it in judged]
    return sum(map(min, has, given)), sum(has) + sum(given)


def by_tag(passes: Sequence[Sequence[Judged]]) -> list[TagQuality]:
    """Each tag that occurs, the most supported first; the counts are sums over the passes."""
    judged = [it for one in passes for it in one]
    support = Counter(tag for it in judged for tag in set(it.best))
    given = Counter(tag for it in judged for tag in set(it.first))
    right = Counter(tag for it in judged for tag in set(it.best) & set(it.first))
    found = [
        TagQuality(
            name,
            support[name],
            given[name],
            right[name] / given[name] if given[name] else None,
            right[name] / support[name] if support[name] else None,
        )
        for name in occurring(judged)
    ]
    return sorted(found, key=lambda tag: (-tag.support, -tag.given, tag.name))

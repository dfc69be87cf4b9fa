"""How good and how quick the ranker of review/llm/rank.py is, and what its clues should weigh.

    make bench-rank ARGS=LABELLED.jsonl

The file as for `manage.py evaluate`. Prints the table of docs/quality.md: what each clue gives,
with weights fitted on other documents than those they are judged on; then KNOWN and NEW fitted
on them all, to be pasted into rank.py; then how long it takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from review.insight import baselines
from review.insight.quality import (
    Judged,
    Tags,
    acceptable,
    best_of_three_f1,
    candidates_differ,
    document_f1,
    pickable,
    ratio,
)
from review.llm.rank import CLUES, KNOWN, NEW, Example, Ranker, RankTag, three_sets

SEED = Path(__file__).resolve().parents[2] / "review" / "seed"
FOLDS = 5
SPLITS = 3  # ways to make the folds, averaged: they move a figure by 0.01
C = 0.1  # of the logistic regression
Weigh = Callable[[Any], Any]  # the clues of documents → a probability for each and each tag


@dataclass(frozen=True)
class Labelled:
    title: str
    text: str
    best: Tags
    acceptable: Tags = ()

    def example(self, weight: float = 1.0) -> Example:
        return Example(self.title, self.text, self.best, weight)


def read(path: Path) -> list[Labelled]:
    with path.open() as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Labelled(
            row.get("title", ""),
            row["text"],
            tuple(name.strip() for name in row["best"]),
            tuple(name.strip() for name in row.get("acceptable", ())),
        )
        for row in rows
    ]


def vocabulary() -> list[RankTag]:
    rows = json.loads((SEED / "vocabulary.json").read_text())
    return [
        RankTag(row["name"].strip(), row["description"], row["not_for"], row["synonyms"])
        for row in rows
    ]


def labels(documents: Sequence[Labelled], names: Sequence[str]) -> Any:
    return np.array([[name in it.best for name in names] for it in documents], float)


def clues(ranker: Ranker, documents: Iterable[Labelled]) -> Any:
    return np.stack([ranker.clues(it.title, it.text) for it in documents])


def fit(found: Any, right: Any) -> Any:
    """The clues' weights, then the constant."""
    pairs = found.reshape(-1, found.shape[2])
    spread = pairs.std(axis=0)
    spread[spread < 1e-6] = 1e9  # says nothing: no weight
    model = LogisticRegression(C=C, solver="newton-cholesky", max_iter=200)
    model.fit(pairs / spread, right.reshape(-1))
    return np.append(model.coef_[0] / spread, model.intercept_)


def weigh(found: Any, weights: Any) -> Any:
    return 1 / (1 + np.exp(-(found @ weights[:-1] + weights[-1])))


def crossed(found: Any, right: Any, columns: Sequence[int]) -> list[Any]:
    """Probabilities by weights that were fitted without the document; for each split."""
    splits = []
    for seed in range(SPLITS):
        chances = np.zeros(right.shape)
        for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(found):
            weights = fit(found[train][:, :, columns], right[train])
            chances[test] = weigh(found[test][:, :, columns], weights)
        splits.append(chances)
    return splits


def tell(
    what: str, documents: Sequence[Labelled], names: Sequence[str], splits: Sequence[Any]
) -> None:
    judged, recalls = [], {12: 0.0, 20: 0.0, 30: 0.0}
    for chances in splits:
        for it, row in zip(documents, chances, strict=True):
            sets = three_sets(dict(zip(names, row.tolist(), strict=True)), 3)
            judged.append(Judged(it.best, it.acceptable, tuple(sets)))
            order = [names[at] for at in np.argsort(-row, kind="stable")]
            for most in recalls:
                found = len(set(order[:most]) & set(it.best))
                recalls[most] += found / len(it.best) / len(documents) / len(splits)
    line(what, judged, *recalls.values())


def line(what: str, judged: Sequence[Judged], *more: float) -> None:
    measures = (document_f1, best_of_three_f1, pickable, acceptable, candidates_differ)
    figures = [*(ratio([of(it) for it in judged]) for of in measures), *more]
    print(f"| {what} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |", flush=True)


def quality(documents: Sequence[Labelled]) -> None:
    tags, shipped = vocabulary(), read(SEED / "examples.jsonl")
    names = [tag.name for tag in tags]
    right = labels(documents, names)
    print("| | first | best of 3 | pickable | acceptable | differ | R@12 | R@20 | R@30 |")
    print("| --- |" + " ---: |" * 8)

    texts = [it.text for it in documents]
    training = [it.text for it in shipped], [it.best for it in shipped]
    simple = {
        "baseline: names counted": baselines.names(texts, names),
        "baseline: TF-IDF, logistic regression": baselines.tfidf(
            texts, [it.best for it in documents], training, 0
        ),
    }
    for what, sets in simple.items():
        line(
            what,
            [Judged(it.best, it.acceptable, one) for it, one in zip(documents, sets, strict=True)],
        )

    ranker = Ranker(tags, [it.example() for it in shipped])
    found = clues(ranker, documents)
    bare_tags = [RankTag(tag.name) for tag in tags]
    bare = clues(Ranker(bare_tags, [it.example() for it in shipped]), documents)
    regression, near, name, synonym = [0, 1], [2], [3, 4, 5], [6, 7, 8]
    parts = {
        "names, by where they stand": name,
        "names and synonyms": name + synonym,
        "regression": regression,
        "regression + neighbours": regression + near,
        "regression + neighbours + names": regression + near + name,
    }
    tell("regression, profiles of names only", documents, names, crossed(bare, right, regression))
    for what, columns in parts.items():
        tell(what, documents, names, crossed(found, right, columns))
    everything = list(range(len(CLUES)))
    tell("**all clues**", documents, names, crossed(found, right, everything))

    # As if nothing of these documents were known: each example judged without its fifth.
    held = np.zeros((len(shipped), len(names), len(CLUES)))
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(shipped):
        part = Ranker(tags, [shipped[at].example() for at in train])
        held[test] = clues(part, [shipped[at] for at in test])
    weights = fit(held, labels(shipped, names))
    tell("all clues, weighed by the invented examples", documents, names, [weigh(found, weights)])

    for weight in (1.0, 3.0):
        added = np.zeros(right.shape)
        for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(documents):
            picks = [documents[at].example(weight) for at in train]
            ours = Ranker(tags, [*(it.example() for it in shipped), *picks])
            weights = fit(found[train], right[train])
            added[test] = weigh(clues(ours, [documents[at] for at in test]), weights)
        what = f"all clues, 85 of the documents as picks, each counted {weight:.0f} ×"
        tell(what, documents, names, [added])

    # Each tag as if it were new: no example has it.
    new = np.zeros(found.shape)
    for _, out in KFold(10, shuffle=True, random_state=0).split(names):
        gone = {names[at] for at in out}
        left = [
            replace(it, best=tuple(name for name in it.best if name not in gone)) for it in shipped
        ]
        part = Ranker(tags, [it.example() for it in left])
        new[:, out] = clues(part, documents)[:, out]
    tell("all clues, every tag as if new", documents, names, crossed(new, right, everything))

    print("\nFitted on them all:")
    for what, of in (("KNOWN", found), ("NEW", new)):
        print(f"{what} = np.array({fit(of, right).round(2).tolist()})")
    print(f"in the file: {KNOWN.tolist()}\n             {NEW.tolist()}")

    print("\nHow often right, where it says so (cross-validated):")
    chances = np.concatenate([one.ravel() for one in crossed(found, right, everything)])
    truth = np.tile(right.ravel(), SPLITS)
    ends = [0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.01]
    for low, high in pairwise(ends):
        here = (chances >= low) & (chances < high)
        said, was, count = chances[here].mean(), truth[here].mean(), here.sum() // SPLITS
        print(f"  {low:.2f}-{min(high, 1):.2f}: said {said:.2f}, was {was:.2f} ({count} pairs)")


def speed(documents: Sequence[Labelled]) -> None:
    tags, shipped = vocabulary(), read(SEED / "examples.jsonl")
    examples = [it.example() for it in shipped]
    # Of 5,000 picks: these documents again and again, each with other words left out.
    many = [
        Example(it.title, " ".join(it.text.split(" ")[turn % 7 :: 1 + turn % 3]), it.best)
        for turn in range(5000 // len(documents) + 1)
        for it in documents
    ][:5000]
    for what, some in (("834 examples", examples), ("834 + 5,000", examples + many)):
        began = time.perf_counter()
        ranker = Ranker(tags, some)
        built = time.perf_counter() - began
        began = time.perf_counter()
        for it in documents:
            ranker.scores(it.title, it.text)
        each = (time.perf_counter() - began) / len(documents) * 1000
        held = ranker.slopes, ranker.labels, ranker.documents.data, ranker.documents.indices
        kept = sum(part.nbytes for part in held) / 2**20
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{what}: made in {built:.1f} s, {each:.1f} ms a document, {kept:.0f} MB kept; "
            f"the process had {most:.0f} MB at most"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--speed", action="store_true", help="only how long it takes")
    options = parser.parse_args()
    if not options.speed:
        quality(read(options.labelled))
    speed(read(options.labelled))

"""What the parts of an embedded answer should weigh: the Weights of review/llm/compose.py.

    make fit-compose ARGS="LABELLED.jsonl [--adapter FILE]"

The file as for `manage.py evaluate`. Asks the embedded model once about each document, and prints
the table of docs/quality.md: the model alone, the ranker alone, both put together by the weights
that are in the file and by weights fitted on other documents; then those fitted on them all.
`--kept FILE` keeps the answers, and takes them from there the next time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from review.insight.compare import differences
from review.insight.quality import Judged, Tags, measure
from review.llm import compose, local_server
from review.llm.rank import three_sets
from review.readers.labelled import Labelled

Numbers = NDArray[np.float64]

FOLDS = 5
SPLITS = 3  # ways to make the folds, averaged
C = 1.0  # of the logistic regression


@dataclass(frozen=True)
class Answered:
    """A document's labels, what the model said, and the clues of each tag: `compose.Weights`."""

    best: Tags
    acceptable: Tags
    said: Tags
    names: list[str]
    clues: Numbers  # a row a tag, without the constant
    anywhere: dict[str, float]  # by the model alone: that it says the tag
    ranked: dict[str, float]

    @property
    def right(self) -> list[bool]:
        return [name in self.best for name in self.names]

    def judged(self, candidates: Iterable[Tags]) -> Judged:
        return Judged(self.best, self.acceptable, tuple(candidates))

    def by(self, weights: Numbers) -> Judged:
        """The three sets by these weights, the constant last."""
        chances = 1 / (1 + np.exp(-(self.clues @ weights[:-1] + weights[-1])))
        return self.judged(three_sets(dict(zip(self.names, chances.tolist(), strict=True)), 3))


def answered(row: Mapping[str, object], it: Labelled) -> Answered:
    """row: what `ask` keeps of a document."""
    ranked: dict[str, float] = row["ranked"]  # type: ignore[assignment]
    told: list[tuple[str, dict[str, float]]] = row["tokens"]  # type: ignore[assignment]
    said = tuple(map(str, row["said"]))  # type: ignore[call-overload]
    names = list(ranked)
    tokens = [compose.Token(text, places) for text, places in told]
    shares = compose.shares_by_place(tokens, names, said)
    anywhere = {
        name: 1 - math.prod(1 - min(1.0, place[name]) for place in shares) for name in names
    }
    clues = [
        (
            compose.log_odds(ranked[name]),
            compose.log_odds(anywhere[name]),
            compose.log_odds(shares[0][name] if shares else 0.0),
            float(name in said),
        )
        for name in names
    ]
    return Answered(it.best, it.acceptable, said, names, np.array(clues), anywhere, ranked)


def ask(documents: Sequence[Labelled], adapter: Path | None) -> Iterator[dict[str, object]]:
    """What the embedded model says of each, in JSON's terms."""
    from review.llm.client import Endpoint
    from review.llm.recipe import EMBEDDED
    from review.pipeline.exam import tag_list
    from review.pipeline.propose import sample
    from review.pipeline.ranking import of_tags

    tags = tag_list(None, None)
    ranker = of_tags(tags)
    server = local_server.start(adapter=adapter)
    try:
        endpoint = Endpoint(server.base_url, "", local_server.MODEL_NAME, EMBEDDED, grammar=True)
        for it in documents:
            sampling = sample(endpoint, "", tags, 3, it.title, it.text, ranker=lambda: ranker)
            sampling.three(120)
            told = sampling.told
            yield {
                "id": it.external_id,
                "said": json.loads(told.text)["tags"] if told else [],
                "tokens": [[one.text, dict(one.places)] for one in told.tokens] if told else [],
                "ranked": dict(sampling.ranked),
            }
    finally:
        server.stop()


def fit(some: Sequence[Answered]) -> Numbers:
    model = LogisticRegression(C=C, max_iter=500)
    model.fit(np.concatenate([it.clues for it in some]), np.concatenate([it.right for it in some]))
    return np.append(model.coef_[0], model.intercept_)


def crossed(some: Sequence[Answered]) -> list[list[Judged]]:
    """By weights that were fitted without the document; once for each split."""
    passes = []
    for seed in range(SPLITS):
        found: dict[int, Judged] = {}
        for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(range(len(some))):
            weights = fit([some[at] for at in train])
            found |= {at: some[at].by(weights) for at in test}
        passes.append([found[at] for at in range(len(some))])
    return passes


def sure(chances: Mapping[str, float]) -> list[Tags]:
    """The three sets of such chances, none of them quite 0 or 1."""
    held = {name: min(max(one, 1e-6), 1 - 1e-6) for name, one in chances.items()}
    return three_sets(held, 3)


def tell(some: Sequence[Answered]) -> None:
    shipped = np.array(astuple(compose.EMBEDDED))
    tables = {
        "the answer alone": [[it.judged([it.said] if it.said else []) for it in some]],
        "the model's own likelihoods": [[it.judged(sure(it.anywhere)) for it in some]],
        "the ranker alone": [[it.judged(sure(it.ranked)) for it in some]],
        "put together, weights of the file": [[it.by(shipped) for it in some]],
        "put together, weights cross-validated": crossed(some),
    }
    print("| | F1 of the first | of the best of three | pickable |\n| --- | ---: | ---: | ---: |")
    for what, passes in tables.items():
        found = [measure(one, 1) for one in passes]
        means = [
            sum(one[name] for one in found) / len(found)
            for name in ("document_f1", "best_of_three_f1", "pickable")
        ]
        print(f"| {what} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    *_, by_file, by_others = tables.values()
    print("\nCross-validated less those of the file:")
    for one in differences(by_file, by_others):
        if one.name in ("document_f1", "best_of_three_f1", "pickable"):
            print(f"{one.name} {one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]")
    names = ("ranked", "anywhere", "first", "said", "constant")
    for what, weights in (("Fitted on them all", fit(some)), ("In the file", shipped)):
        parts = ", ".join(
            f"{name}={weight:.2f}" for name, weight in zip(names, weights, strict=True)
        )
        print(f"{what}: Weights({parts})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--adapter", default=str(local_server.ADAPTER), help="“none”: without.")
    parser.add_argument("--kept", type=Path, metavar="FILE")
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tagger_site.settings"
    import django

    django.setup()
    from review.pipeline.exam import fitted, labelled, tag_list

    documents, _ = fitted(labelled(options.labelled), tag_list(None, None))
    if options.kept and options.kept.exists():
        rows = [json.loads(line) for line in options.kept.read_text().splitlines()]
    else:
        adapter = None if options.adapter == "none" else Path(options.adapter)
        rows = list(ask(documents, adapter))
        if options.kept:
            options.kept.write_text("".join(json.dumps(row) + "\n" for row in rows))
    by_id = {row["id"]: row for row in rows}
    tell([answered(by_id[it.external_id], it) for it in documents])


if __name__ == "__main__":
    main()

"""What proposals must beat: two ways without a language model, each giving three candidates.

names   the vocabulary's names counted in the text, weighted by rarity
tfidf   TF-IDF and one logistic regression a tag, from labelled documents

The third baseline, the seed's own prompt, is a prompt version: review/llm/prompt.py, "seed-1".
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence

from .quality import Tags

FOLDS = 10


def names(texts: Sequence[str], vocabulary: Sequence[str], most: int = 3) -> list[tuple[Tags, ...]]:
    """Count each tag's name in each text; weigh by how few of these texts have it at all.

    A name counts as a word of its own, in any case, with hyphens, spaces or nothing between its
    parts. Its weight is count · ln(texts / texts that have it), as in TF-IDF: K. Spärck Jones,
    "A statistical interpretation of term specificity", 1972. The candidates are the `most`
    heaviest, and mixes of them (see `mixes`). A text with no name in it gets none.
    """
    counts = [{name: _count(name, text) for name in vocabulary} for text in texts]
    texts_with = {name: sum(found[name] > 0 for found in counts) for name in vocabulary}
    proposals = []
    for found in counts:
        weights = {
            name: count * (math.log(len(texts) / texts_with[name]) + 1e-9)
            for name, count in found.items()
            if count
        }
        proposals.append(mixes(sorted(weights, key=lambda name: (-weights[name], name)), most))
    return proposals


def tfidf(
    texts: Sequence[str],
    best: Sequence[Tags],
    training: tuple[Sequence[str], Sequence[Tags]] | None,
    seed: int,
    most: int = 3,
) -> list[tuple[Tags, ...]]:
    """One logistic regression a tag over the words' TF-IDF weights, by scikit-learn.

    training: texts and their best tags. Without, these very documents are it, cross-validated:
    each is judged by a model that never saw its text, nor a copy of it. The candidates are the
    `most` likeliest tags, and mixes of them (see `mixes`).
    """
    # Here: two seconds of loading, for this one baseline.
    from sklearn.model_selection import GroupKFold

    if training is not None:
        ranked = _ranked(*training, texts)
        return [mixes(tags, most) for tags in ranked]
    groups = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    folds = min(FOLDS, len(set(groups)))
    if folds < 2:
        raise ValueError("Cross-validation needs at least two different documents.")
    proposals: list[tuple[Tags, ...]] = [()] * len(texts)
    split = GroupKFold(folds, shuffle=True, random_state=seed)
    for train, test in split.split(texts, groups=groups):
        seen = [texts[place] for place in train], [best[place] for place in train]
        ranked = _ranked(*seen, [texts[place] for place in test])
        for place, tags in zip(test, ranked, strict=True):
            proposals[place] = mixes(tags, most)
    return proposals


def mixes(ranked: Sequence[str], most: int) -> tuple[Tags, ...]:
    """Three candidates from a ranking: the `most` first, then the first with each of the others.

    Of three these are the first three, the first and second, the first and third. The first
    alone would be right more often, and leave more out: see docs/quality.md.
    """
    top = tuple(ranked[:most])
    pairs = [(top[0], other) for other in top[1:]]
    return tuple(dict.fromkeys([top, *pairs]))[:3] if top else ()


def _count(name: str, text: str) -> int:
    parts = [re.escape(part) for part in re.split(r"[\s_-]+", name.strip()) if part]
    # No letter or digit may go before or after: "ai" is not in "email", nor "c" in "c++11".
    joined = r"[\s_-]?".join(parts)
    return len(re.findall(rf"(?<!\w){joined}(?!\w)", text, re.IGNORECASE))


def _ranked(texts: Sequence[str], best: Sequence[Tags], asked: Sequence[str]) -> list[list[str]]:
    """For each of the texts asked: the tags that the training has, the likeliest first."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import MultiLabelBinarizer

    binarizer = MultiLabelBinarizer()
    labels = binarizer.fit_transform(best)
    words = TfidfVectorizer(sublinear_tf=True, min_df=2 if len(texts) > 20 else 1)
    # liblinear: a hundred times as quick here as the default, and no worse.
    one_tag = LogisticRegression(C=10, class_weight="balanced", solver="liblinear")
    model = OneVsRestClassifier(one_tag).fit(words.fit_transform(texts), labels)
    likely = model.predict_proba(words.transform(asked))
    names = [str(name) for name in binarizer.classes_]
    return [[names[place] for place in (-row).argsort(kind="stable")] for row in likely]

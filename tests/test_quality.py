"""The measures: against scikit-learn's where it has them, and against values worked by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from sklearn import metrics
from sklearn.preprocessing import MultiLabelBinarizer

from review.insight import baselines
from review.insight.compare import changed, differences
from review.insight.quality import (
    MEASURES,
    Judged,
    averaged,
    by_tag,
    distance,
    f1,
    measure,
)
from review.insight.told import MEANINGS, TITLES

TAGS = [f"tag{number}" for number in range(12)]


def drawn(seed: int, count: int = 200, right: float = 0.4) -> list[Judged]:
    """Documents with labels and candidates by chance, some without a proposal."""
    draw = random.Random(seed)
    found = []
    for place in range(count):
        best = draw.sample(TAGS, draw.randint(1, 3))
        others = [tag for tag in TAGS if tag not in best]
        candidates = []
        for _rank in range(3 if place % 20 else 0):
            wanted = draw.randint(1, 3)
            pool = [tag for tag in best if draw.random() < right] + draw.sample(others, 3)
            candidates.append(tuple(pool[:wanted]))
        acceptable = draw.sample(others, 2)
        found.append(Judged(tuple(best), tuple(acceptable), tuple(candidates)))
    return found


ALL = drawn(1)
BOTH = MultiLabelBinarizer(classes=TAGS)
BEST = BOTH.fit_transform([it.best for it in ALL])
FIRST = BOTH.transform([it.first for it in ALL])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("document_f1", metrics.f1_score(BEST, FIRST, average="samples", zero_division=0)),
        ("micro_f1", metrics.f1_score(BEST, FIRST, average="micro")),
        ("macro_f1", metrics.f1_score(BEST, FIRST, average="macro", zero_division=0)),
        ("jaccard", metrics.jaccard_score(BEST, FIRST, average="samples")),
        ("subset_accuracy", metrics.accuracy_score(BEST, FIRST)),
    ],
)
def test_a_measure_is_scikit_learns(name: str, expected: float) -> None:
    assert measure(ALL, len(TAGS))[name] == pytest.approx(expected)


def test_precision_at_3_is_that_of_the_tags_there_are() -> None:
    precision = metrics.precision_score(BEST, FIRST, average="samples", zero_division=0)
    assert measure(ALL, len(TAGS))["precision_at_3"] == pytest.approx(precision)


def test_ndcg_is_scikit_learns_for_the_order_of_the_candidate() -> None:
    scores = np.zeros(BEST.shape)
    for row, it in enumerate(ALL):
        for place, tag in enumerate(it.first):
            scores[row, TAGS.index(tag)] = 3 - place
    full = [row for row, it in enumerate(ALL) if len(it.first) == 3]
    # Where fewer than three are proposed scikit-learn shares the gains of tied zeros out.
    expected = metrics.ndcg_score(BEST[full], scores[full], k=3)
    told = measure([ALL[row] for row in full], len(TAGS))
    assert told["ndcg_at_3"] == pytest.approx(expected)


def test_each_tag_has_scikit_learns_precision_and_recall() -> None:
    tags = by_tag([ALL])
    assert [tag.support for tag in tags] == sorted((tag.support for tag in tags), reverse=True)
    precision, recall, _f1, support = metrics.precision_recall_fscore_support(
        BEST, FIRST, zero_division=0
    )
    for tag in tags:
        place = TAGS.index(tag.name)
        assert tag.precision == pytest.approx(precision[place])
        assert tag.recall == pytest.approx(recall[place])
        assert tag.support == support[place]


def test_the_measures_of_one_document_worked_by_hand() -> None:
    it = Judged(("ai", "lib"), ("api",), (("http", "ai"), ("lib", "api"), ("ai", "lib", "cli")))
    told = measure([it], vocabulary=10)
    assert told == pytest.approx(
        {
            "document_f1": 1 / 2,
            "micro_f1": 1 / 2,
            "macro_f1": 1 / 3,  # ai 1, lib 0, http 0
            "acceptable": 1 / 2,
            "hit": 1,
            "precision_at_1": 0,
            "precision_at_3": 1 / 2,
            "ndcg_at_3": (1 / math.log2(3)) / (1 + 1 / math.log2(3)),
            "jaccard": 1 / 3,
            "subset_accuracy": 0,
            "coverage": 2 / 10,
            "tags_per_document": 2,
            "best_of_three_f1": 4 / 5,
            "pickable": 1,  # lib, api
            "candidates_differ": (1 + 3 / 4 + 3 / 4) / 3,
            "candidate_count": 3,
        }
    )


def test_no_answer_counts_against_the_model_and_no_share_of_its_tags() -> None:
    answered = Judged(("ai",), (), (("ai",),))
    told = measure([answered, Judged(("ai",), (), ())], vocabulary=1)
    halved = ("document_f1", "hit", "precision_at_1", "ndcg_at_3", "pickable", "best_of_three_f1")
    assert {told[name] for name in halved} == {0.5}
    assert told["acceptable"] == 1
    assert measure([], vocabulary=0)["document_f1"] == 0


def test_passes_are_averaged() -> None:
    right = [Judged(("ai",), (), (("ai",),))]
    wrong = [Judged(("ai",), (), (("lib",),))]
    told = averaged([right, wrong], vocabulary=2)
    assert (told["document_f1"], told["coverage"], told["macro_f1"]) == (0.5, 0.5, 0.5)


def test_small_things() -> None:
    assert f1((), ()) == 1
    assert f1((), ("ai",)) == 0
    assert distance([("ai", "lib")]) == 0
    assert distance([("ai",), ("lib",)]) == 1


def test_every_measure_has_a_name_and_says_what_it_is() -> None:
    measured = {*MEASURES, "macro_f1", "coverage"}
    assert measured <= set(TITLES)
    assert set(MEANINGS) <= measured
    assert all(of.__doc__ for of in MEASURES.values())


# --- Two runs ---------------------------------------------------------------------------


def test_a_run_is_no_better_than_itself() -> None:
    for one in differences([ALL], [ALL]):
        assert (one.value, one.low, one.high, one.is_clear) == (0, 0, 0, False)


def test_the_values_compared_are_those_that_are_measured() -> None:
    first, second = [ALL, drawn(2)], [drawn(3, right=0.9)]
    before, now = averaged(first, len(TAGS)), averaged(second, len(TAGS))
    for one in differences(first, second):
        assert one.first == pytest.approx(before[one.name])
        assert one.second == pytest.approx(now[one.name])


def test_a_clear_difference_is_told_from_none() -> None:
    better = [Judged(it.best, it.acceptable, (it.best,)) for it in ALL]
    told = {one.name: one for one in differences([ALL], [better])}
    assert told["document_f1"].is_clear
    assert told["document_f1"].low < told["document_f1"].value < told["document_f1"].high
    assert told["macro_f1"].is_clear
    again = {one.name: one for one in differences([drawn(5)], [drawn(6)])}
    assert not again["document_f1"].is_clear


def test_the_interval_is_that_of_the_paired_differences() -> None:
    """Of a mean it is about ±1.96 standard errors; unpaired it would be much wider here."""
    better = [Judged(it.best, it.acceptable, (*it.candidates[:1], it.best)) for it in ALL]
    told = {one.name: one for one in differences([ALL], [better])}
    gains = np.array(
        [
            MEASURES["best_of_three_f1"](now)[0] - MEASURES["best_of_three_f1"](before)[0]
            for before, now in zip(ALL, better, strict=True)
        ]
    )
    error = gains.std(ddof=1) / math.sqrt(len(gains))
    one = told["best_of_three_f1"]
    assert one.low == pytest.approx(gains.mean() - 1.96 * error, abs=0.01)
    assert one.high == pytest.approx(gains.mean() + 1.96 * error, abs=0.01)


def test_only_the_same_documents_are_compared() -> None:
    with pytest.raises(ValueError, match="same documents"):
        differences([ALL], [ALL[1:]])
    with pytest.raises(ValueError, match="same documents"):
        differences([[]], [[]])


def test_documents_that_changed_are_told_the_worst_first() -> None:
    good, bad = Judged(("ai",), (), (("ai",),)), Judged(("ai",), (), (("lib",),))
    assert changed([[good, bad, good]], [[good, good, bad]]) == [(2, 1, 0), (1, 0, 1)]


# --- Baselines --------------------------------------------------------------------------


def test_names_are_counted_as_words_and_weighed_by_rarity() -> None:
    texts = ["A lib, a lib, a lib with graphql", "A lib", "nothing", "The web-server and the email"]
    told = baselines.names(texts, ["lib", "graphql", "web server", "ai"])
    assert told[0] == (("lib", "graphql"),)
    assert told[1] == (("lib",),)
    assert told[2] == ()
    assert told[3] == (("web server",),)  # and no "ai" in "email"
    assert baselines.names(["lib graphql", "lib"], ["lib", "graphql"])[0][0][0] == "graphql"


def test_a_ranking_gives_three_mixes_of_its_top_three() -> None:
    assert baselines.mixes(["a", "b", "c", "d"], 3) == (("a", "b", "c"), ("a", "b"), ("a", "c"))
    assert baselines.mixes(["a", "b"], 3) == (("a", "b"),)
    assert baselines.mixes([], 3) == ()


def test_tfidf_learns_and_never_from_a_copy_of_what_it_is_asked() -> None:
    kinds = {
        "ai": "neural network training",
        "http": "request header proxy",
        "game": "player sprite",
    }
    texts = [f"{words} number {n}" for n in range(8) for words in kinds.values()]
    best = [(tag,) for _n in range(8) for tag in kinds]
    told = baselines.tfidf(texts, best, None, seed=0)
    assert [candidates[0][0] for candidates in told] == [tags[0] for tags in best]
    # Of this text there are copies with a label that no other document has.
    texts += ["an odd one about zebras"] * 3
    best += [("zebra",)] * 3
    told = baselines.tfidf(texts, best, None, seed=0)
    assert all("zebra" not in candidates[0] for candidates in told[-3:])
    learned = baselines.tfidf(["neural training"], [("game",)], (texts, best), seed=0)
    assert learned[0][0][0] == "ai"
    with pytest.raises(ValueError, match="two different"):
        baselines.tfidf(["one"], [("ai",)], None, seed=0)

"""How likely it is that the first candidate is picked unchanged, learned from past reviews.

A logistic regression over a few features of a proposal, then its scores are made into
probabilities: by Platt's two numbers, or, from a thousand documents on, by isotonic regression
(scikit-learn's guide, "Probability calibration", says why not earlier). What is promised of it
comes from documents that the model which judges them was not fitted on: cross-validated. A fit
is kept as plain numbers, so that whoever asks for a confidence needs no scikit-learn.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

FEWEST = 100  # documents; below that nothing is told
FEWEST_OF_A_KIND = 10  # picked and not picked; with fewer there is nothing to learn from
ISOTONIC_FROM = 1000  # documents
FOLDS = 5
KIND = 1  # of the features: another number whenever they change, and all is learned anew
POINTS = 20  # of the curve
CERTAINTY = 0.95  # of the intervals

Set = frozenset[str]


@dataclass(frozen=True)
class Evidence:
    """What is known of a proposal at the moment when it is made.

    candidates: the sets, the first one first. said: the sets of all usable replies, equal ones
    as often as they were said. unusable: replies without tags. logprob: of the reply with the
    first set (else of the first reply), the mean of its tokens'; None where the server gives
    none. chances: of the likeliest tags, where they were worked out (llm/compose.py).
    """

    candidates: Sequence[Set]
    said: Sequence[Set]
    unusable: int = 0
    asked_again: int = 0
    logprob: float | None = None
    chances: Mapping[str, float] = field(default_factory=dict)


def features(evidence: Evidence) -> list[float]:
    """The numbers that the regression sees, always in this order."""
    first = evidence.candidates[0]
    said = evidence.said or [first]
    count = len(said)
    differing = [1 - _jaccard(*two) for two in combinations(evidence.candidates, 2)]
    return [
        sum(one == first for one in said) / count,
        sum(_jaccard(one, first) for one in said) / count,
        min((sum(tag in one for one in said) / count for tag in first), default=0.0),
        sum(differing) / len(differing) if differing else 0.0,
        float(len(evidence.candidates)),
        float(len(first) == 2),
        float(len(first) > 2),
        float(evidence.asked_again),
        evidence.unusable / (evidence.unusable + count),
        evidence.logprob or 0.0,
        float(evidence.logprob is None),
        *_chances(evidence.chances, first),
    ]


def _chances(chances: Mapping[str, float], first: Set) -> tuple[float, float, float]:
    """That just these tags are right, if each were by itself; the least of them; the most of the
    others. All 0 where nobody worked them out.
    """
    if not chances:
        return 0.0, 0.0, 0.0
    inside = [chances.get(tag, 0.0) for tag in first]
    outside = [chance for tag, chance in chances.items() if tag not in first]
    just = math.prod(inside) * math.prod(1 - chance for chance in outside)
    return just, min(inside), max(outside, default=0.0)


@dataclass(frozen=True)
class Point:
    """What would have come of a threshold, over the documents that people decided on.

    documents: those above it. picked: those of them whose first candidate was picked unchanged.
    low, high: the interval of their share (Clopper and Pearson, 95 %).
    """

    threshold: float
    documents: int
    picked: int
    low: float
    high: float

    @property
    def precision(self) -> float:
        return self.picked / self.documents


@dataclass(frozen=True)
class Fit:
    """numbers: for `probability`. curve: from the highest threshold to the lowest."""

    method: str
    numbers: dict[str, Any]
    curve: list[Point]

    def curve_as_json(self) -> list[dict[str, Any]]:
        return [asdict(point) for point in self.curve]


def probability(numbers: dict[str, Any], row: Sequence[float]) -> float:
    """That the first candidate is picked unchanged, 0 to 1, from its features."""
    if "constant" in numbers:
        return float(numbers["constant"])
    score: float = numbers["intercept"]
    for value, mean, scale, weight in zip(
        row, numbers["means"], numbers["scales"], numbers["weights"], strict=True
    ):
        score += weight * (value - mean) / scale
    if "platt" in numbers:
        slope, offset = numbers["platt"]
        return 1 / (1 + math.exp(min(slope * score + offset, 700)))
    return _between(numbers["isotonic"][0], numbers["isotonic"][1], score)


def fit(rows: Sequence[Sequence[float]], picked: Sequence[bool], seed: int = 0) -> Fit:
    """From the features of documents and whether their first candidate was picked unchanged.

    Where nearly all or nearly none were, every document has the same confidence. `seed` is of
    the folds.
    """
    # Imported only here: it is large, and most processes never fit.
    import numpy as np
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    count = len(rows)
    right = sum(picked)
    if min(right, count - right) < FEWEST_OF_A_KIND:
        constant = (right + 1) / (count + 2)
        return Fit(
            "constant", {"features": KIND, "constant": constant}, [point(constant, right, count)]
        )
    x, y = np.array(rows, float), np.array(picked, int)
    method = "isotonic" if count >= ISOTONIC_FROM else "sigmoid"

    def fitted(some: Any) -> dict[str, Any]:
        model = CalibratedClassifierCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            method=method,
            cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
            ensemble=False,
        )
        with threadpool_limits(1):  # the worker's other core is another worker's
            model.fit(x[some], y[some])
        return _numbers(model.calibrated_classifiers_[0], method)

    def scores(numbers: dict[str, Any], some: Any) -> Any:
        return np.array([probability(numbers, row) for row in x[some]])

    # A document's place: the share of those that its model was fitted on which are as likely or
    # likelier. Places, unlike probabilities, are alike from one fold's model to the other.
    places = np.empty(count)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed + 1).split(x, y):
        numbers = fitted(train)
        places[test] = _places(scores(numbers, train), scores(numbers, test))
    everything = np.arange(count)
    numbers = fitted(everything)
    final = scores(numbers, everything)
    levels = np.unique(_places(final, final))
    curve = []
    for level in _some(levels):
        # Up to half-way to the next: equal documents are a step, a bit off in each fold.
        bound = (level + levels[min(np.searchsorted(levels, level) + 1, len(levels) - 1)]) / 2
        above = places <= bound
        if above.any():
            threshold = float(final[_places(final, final) <= level].min())
            curve.append(point(threshold, int(y[above].sum()), int(above.sum())))
    return Fit("platt" if method == "sigmoid" else method, numbers, curve)


def point(threshold: float, picked: int, documents: int) -> Point:
    return Point(threshold, documents, picked, *interval(picked, documents))


def interval(picked: int, of: int) -> tuple[float, float]:
    """Of a share: Clopper and Pearson's, which holds for few as well. Of none: 0 to 1."""
    from scipy.special import betaincinv

    beside = (1 - CERTAINTY) / 2
    low = betaincinv(picked, of - picked + 1, beside) if picked else 0.0
    high = betaincinv(picked + 1, of - picked, 1 - beside) if picked < of else 1.0
    return float(low), float(high)


def keeping(curve: Sequence[Point], promise: float) -> Point | None:
    """The point that lets most documents through and keeps the promise; None without one.

    It keeps it when the lower end of its interval does.
    """
    kept = [point for point in curve if point.low >= promise]
    return max(kept, key=lambda point: point.documents, default=None)


def _jaccard(one: Set, other: Set) -> float:
    both = one | other
    return len(one & other) / len(both) if both else 1.0


def _numbers(classifier: Any, method: str) -> dict[str, Any]:
    """What scikit-learn has fitted, as JSON."""
    scaler, regression = (step for _, step in classifier.estimator.steps)
    calibrator = classifier.calibrators[0]
    made = (
        {"platt": [float(calibrator.a_), float(calibrator.b_)]}
        if method == "sigmoid"
        else {"isotonic": [calibrator.X_thresholds_.tolist(), calibrator.y_thresholds_.tolist()]}
    )
    return {
        "features": KIND,
        "means": scaler.mean_.tolist(),
        "scales": scaler.scale_.tolist(),
        "weights": regression.coef_[0].tolist(),
        "intercept": float(regression.intercept_[0]),
        **made,
    }


def _between(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """On the line through the points; at its ends beyond them."""
    place = bisect.bisect_left(xs, x)
    if place == 0:
        return float(ys[0])
    if place == len(xs):
        return float(ys[-1])
    share = (x - xs[place - 1]) / (xs[place] - xs[place - 1])
    return float(ys[place - 1] + share * (ys[place] - ys[place - 1]))


def _places(among: Any, of: Any) -> Any:
    import numpy as np

    ordered = np.sort(among)
    return 1 - np.searchsorted(ordered, of - 1e-9, side="left") / len(ordered)


def _some(levels: Any) -> Any:
    """Of the levels those next to 1/20, 2/20, …; all of them where they are few."""
    import numpy as np

    wanted = np.arange(1, POINTS + 1) / POINTS
    return np.unique(levels[np.abs(levels[:, None] - wanted[None, :]).argmin(axis=0)])

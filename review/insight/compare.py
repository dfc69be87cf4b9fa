"""Two runs over the same documents: by how much one is better, and how sure that is.

Documents are drawn anew, with replacement, always the same ones for both runs, and the difference
is measured again; what 95 % of the draws lie between is the interval. Where it leaves out 0, the
difference is hardly luck. A paired bootstrap with percentile interval: B. Efron and
R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13; for comparing two systems on
one test set: P. Koehn, "Statistical Significance Tests for Machine Translation Evaluation",
EMNLP 2004.

It tells of other documents of the same making, not of other seeds: a run that samples should be
repeated, and its passes be averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .quality import MEASURES, Judged, f1

Numbers = NDArray[np.float64]
Passes = Sequence[Sequence[Judged]]  # each over the same documents, in the same order

DRAWS = 10_000
AT_ONCE = 500  # draws, so that memory does not grow with their number


@dataclass(frozen=True)
class Difference:
    """The second run less the first, in one measure. low, high: the 95 % interval."""

    name: str
    first: float
    second: float
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.second - self.first

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Fraction:
    """What a measure is made of: a row a document, and a column for each thing averaged over.

    One column for most measures; one for each tag for macro F1.
    """

    above: Numbers
    below: Numbers

    def drawn(self, weights: Numbers) -> Numbers:
        """The measure for each draw; `weights`: a row a draw, how often it has each document."""
        above, below = weights @ self.above, weights @ self.below
        there = below > 0
        shares = np.divide(above, below, out=np.zeros_like(above), where=there)
        return np.asarray(shares.sum(axis=1) / np.maximum(there.sum(axis=1), 1))


def differences(first: Passes, second: Passes, seed: int = 0) -> list[Difference]:
    """In every measure but coverage, which cannot be drawn: fewer documents always cover less.

    The passes of a run are averaged. Raises ValueError where the runs do not have the same
    number of documents, or none.
    """
    counts = {len(one) for one in (*first, *second)}
    if len(counts) != 1 or 0 in counts:
        raise ValueError("Only runs over the same documents can be compared.")
    count = counts.pop()
    names = [*MEASURES, "macro_f1"]
    sides = [[fractions(one) for one in passes] for passes in (first, second)]

    def value(side: int, name: str, weights: Numbers) -> Numbers:
        found = [one[name].drawn(weights) for one in sides[side]]
        return np.asarray(np.mean(found, axis=0))

    drawn: dict[str, list[Numbers]] = {name: [] for name in names}
    for weights in _draws(count, seed):
        for name in names:
            drawn[name].append(value(1, name, weights) - value(0, name, weights))
    every = np.ones((1, count))
    result = []
    for name in names:
        low, high = np.percentile(np.concatenate(drawn[name]), [2.5, 97.5])
        one, other = (float(value(side, name, every)[0]) for side in (0, 1))
        result.append(Difference(name, one, other, float(low), float(high)))
    return result


def fractions(judged: Sequence[Judged]) -> dict[str, Fraction]:
    """Of one pass, by the name of the measure."""
    found = {}
    for name, of in MEASURES.items():
        parts = np.array([of(it) for it in judged], dtype=float)
        found[name] = Fraction(parts[:, :1], parts[:, 1:])
    tags = sorted({tag for it in judged for tag in (*it.best, *it.first)})
    has = _matrix(judged, tags, lambda it: it.best)
    given = _matrix(judged, tags, lambda it: it.first)
    found["macro_f1"] = Fraction(2 * has * given, has + given)
    return found


def changed(first: Passes, second: Passes) -> list[tuple[int, float, float]]:
    """The documents, by place, whose F1 is another: those that lost most first.

    With the F1 in both runs, of the first candidate, averaged over the passes.
    """
    means = [
        [sum(f1(it.first, it.best) for it in its) / len(its) for its in zip(*passes, strict=True)]
        for passes in (first, second)
    ]
    places = [
        (place, one, other)
        for place, (one, other) in enumerate(zip(*means, strict=True))
        if abs(one - other) > 1e-9
    ]
    return sorted(places, key=lambda found: found[2] - found[1])


def _matrix(
    judged: Sequence[Judged], tags: list[str], of: Callable[[Judged], tuple[str, ...]]
) -> Numbers:
    places = {tag: place for place, tag in enumerate(tags)}
    matrix = np.zeros((len(judged), len(tags)))
    for row, it in enumerate(judged):
        matrix[row, [places[tag] for tag in of(it)]] = 1
    return matrix


def _draws(count: int, seed: int) -> Iterator[Numbers]:
    """How often each draw has each document, some draws at once; the same for the same seed."""
    generator = np.random.default_rng(seed)
    even = np.full(count, 1 / count)
    for _start in range(0, DRAWS, AT_ONCE):
        yield generator.multinomial(count, even, size=AT_ONCE).astype(float)

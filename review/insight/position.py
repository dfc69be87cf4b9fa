"""Whether reviewers favour a place on the page: the order there is shuffled, so none should win."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from review.models import DecisionKind

from .decided import Decided
from .interval import Share

PLACES = 3
FEWEST = 15  # picks; below five expected in each place the test is not to be trusted


@dataclass(frozen=True)
class Places:
    """How often the first, second and third place of the page was picked.

    p: how likely counts as uneven as these are, or more, if no place is favoured (Pearson's
    chi-square against equal shares). None of fewer than FEWEST picks.
    """

    reviewer: str  # empty: all
    shares: tuple[Share, ...]
    p: float | None

    @property
    def of(self) -> int:
        return self.shares[0].of


def places(all_decided: Sequence[Decided]) -> list[Places]:
    """Of the picks among three: all together, then each reviewer, those with the most first."""
    counted: dict[str, list[int]] = defaultdict(lambda: [0] * PLACES)
    for it in all_decided:
        if it.kind == DecisionKind.PICK and len(it.shown) == PLACES and it.rank in it.shown:
            for name in ("", it.reviewer):
                counted[name][it.shown.index(it.rank)] += 1
    by_number = sorted(counted, key=lambda name: (name != "", -sum(counted[name]), name))
    return [_of(name, counted[name]) for name in by_number]


def _of(name: str, counts: Sequence[int]) -> Places:
    of = sum(counts)
    return Places(name, tuple(Share(wins, of) for wins in counts), chance_of(counts))


def chance_of(counts: Sequence[int]) -> float | None:
    """scipy.stats.chisquare's p, by its own distribution: the whole of stats takes a second."""
    from scipy.special import chdtrc

    if sum(counts) < FEWEST:
        return None
    expected = sum(counts) / len(counts)
    uneven = sum((count - expected) ** 2 / expected for count in counts)
    return float(chdtrc(len(counts) - 1, uneven))

"""Whether the proposals get better as more is decided: shares of decisions, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from review.models import DecisionKind

from .decided import Decided
from .interval import Share, difference

SIZES = (50, 100, 200, 500)
MOST_BINS = 20


@dataclass(frozen=True)
class Bin:
    """Decisions number `start` to `end`. first: picked the model's first candidate;
    unchanged: picked any."""

    start: int
    end: int
    first: Share
    unchanged: Share


@dataclass(frozen=True)
class Curve:
    """size: how many decisions are in a bin; the last may have fewer."""

    size: int
    bins: list[Bin]

    @property
    def full(self) -> list[Bin]:
        return [one for one in self.bins if one.first.of == self.size]

    @property
    def change(self) -> tuple[float, float, float] | None:
        """From the last but one full bin to the last: the gain of `first`, with its interval.

        None with fewer than two.
        """
        if len(self.full) < 2:
            return None
        before, last = (one.first for one in self.full[-2:])
        return (last.wins / last.of - before.wins / before.of, *difference(before, last))

    @property
    def still_differs(self) -> bool:
        """Whether the last two full bins differ clearly: 0 is not within the interval."""
        return self.change is not None and not self.change[1] <= 0 <= self.change[2]


def curve(all_decided: Sequence[Decided]) -> Curve:
    """Of the reviews: skips say nothing of the proposal, and of two models none is its first."""
    reviews = [it for it in all_decided if it.kind != DecisionKind.SKIP and not it.rival]
    size = next((size for size in SIZES if len(reviews) <= size * MOST_BINS), SIZES[-1])
    bins = [_bin(start, reviews[start : start + size]) for start in range(0, len(reviews), size)]
    return Curve(size, bins)


def _bin(start: int, its: Sequence[Decided]) -> Bin:
    picks = [it for it in its if it.kind == DecisionKind.PICK]
    first = sum(it.rank == 1 for it in picks)
    return Bin(start + 1, start + len(its), Share(first, len(its)), Share(len(picks), len(its)))

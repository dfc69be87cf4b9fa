"""Shares, and how far each may be off: Wilson's interval, and Newcombe's of a difference."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

Z = 1.96  # 95 %


@dataclass(frozen=True)
class Share:
    """`wins` of `of`. Without any, nothing is told: value, low and high are None."""

    wins: int
    of: int

    @property
    def value(self) -> float | None:
        return self.wins / self.of if self.of else None

    @property
    def low(self) -> float | None:
        return wilson(self.wins, self.of)[0] if self.of else None

    @property
    def high(self) -> float | None:
        return wilson(self.wins, self.of)[1] if self.of else None


def wilson(wins: int, of: int, z: float = Z) -> tuple[float, float]:
    """The score interval of a share; (0, 1) where nothing is counted.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical
    Inference", JASA 22, 1927. At 0 and at all it stays within 0 to 1, unlike ±1.96 errors.
    """
    if not of:
        return 0.0, 1.0
    share = wins / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(first: Share, second: Share) -> tuple[float, float]:
    """The interval of the second share less the first, of other cases: 0 within it is no news.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17, 1998, method 10. Both count something.
    """
    one, other = first.wins / first.of, second.wins / second.of
    (low, high), (other_low, other_high) = (wilson(it.wins, it.of) for it in (first, second))
    gain = other - one
    down = sqrt((other - other_low) ** 2 + (high - one) ** 2)
    up = sqrt((other_high - other) ** 2 + (one - low) ** 2)
    return gain - down, gain + up

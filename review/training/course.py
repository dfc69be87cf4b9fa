"""How is trained: what may be chosen for each of the two ways. Needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass


class NotACourse(ValueError):
    """Such a training cannot be. The message says why."""


def check(positive: tuple[float, ...], at_least_nothing: tuple[float, ...]) -> None:
    both = (*positive, *at_least_nothing)
    if not (min(positive) > 0 and min(at_least_nothing) >= 0 and all(map(math.isfinite, both))):
        raise NotACourse(
            "Epochs, rates, rank, pack, batch and beta are greater than 0; the epochs and the "
            "weight of SFT are at least 0."
        )


@dataclass(frozen=True)
class Course:
    """Packed, for the embedded model on a CPU: `preferences`.

    sft_epochs: of the first stage, 0 for none. rate: the highest. rank: of a new adapter; alpha
    is twice that. pack: questions that make up a step. beta: how dear it is to leave what was
    before. sft_weight: of the chosen answers' own loss, beside the preferences'.
    """

    sft_epochs: float = 1
    epochs: float = 2
    rate: float = 3e-4
    rank: int = 16
    pack: int = 4
    beta: float = 0.1
    sft_weight: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises NotACourse."""
        positive = self.epochs, self.rate, self.rank, self.pack, self.beta
        check(positive, (self.sft_epochs, self.sft_weight))


@dataclass(frozen=True)
class TrlCourse:
    """By TRL, for any Hugging Face model: `trl_lines`. As above, but for:

    The rates are those that fit models of some billions of weights. batch × gather: pairs that
    make up a step. max_length: tokens; TRL leaves out a pair whose prompt alone is longer.
    cpu: where there is no GPU.
    """

    sft_epochs: float = 1
    epochs: float = 2
    sft_rate: float = 1e-4
    rate: float = 5e-6
    rank: int = 16
    batch: int = 2
    gather: int = 8
    beta: float = 0.1
    sft_weight: float = 1.0
    max_length: int = 4096
    seed: int = 0
    cpu: bool = False

    def __post_init__(self) -> None:
        """Raises NotACourse."""
        sizes = self.rank, self.batch, self.gather, self.max_length
        positive = self.epochs, self.sft_rate, self.rate, self.beta, *sizes
        check(positive, (self.sft_epochs, self.sft_weight))

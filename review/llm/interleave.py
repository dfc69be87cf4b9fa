"""Two models' sets in one: drafted in turn, so that neither is favoured and nobody can tell whose
each is.

Source: F. Radlinski, M. Kurup, T. Joachims, "How does clickthrough data reflect retrieval
quality?", CIKM 2008 (team draft); O. Chapelle, T. Joachims, F. Radlinski, Y. Yue, "Large-scale
validation and analysis of interleaved search evaluation", ACM TOIS 30, 2012.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from .sampling import WANTED, TagSet

OWN, RIVAL, BOTH = "own", "rival", "both"


def team_draft(own: Sequence[TagSet], rival: Sequence[TagSet], draw: random.Random) -> list[TagSet]:
    """Up to three different sets of the two, each with its giver.

    In each round both give their best set that is not there yet; a coin says who goes first, and
    so who gives the third. Where both would give the same set, in any order of its tags, it
    counts for neither. Over the coin each model has as many sets here as the other, whatever
    they said: who picks blindly lets neither win.

    Where one model has no set left, the contest on this document is over: further sets are the
    own model's, as if it were alone, and have no giver.
    """
    drafted: list[TagSet] = []
    while len(drafted) < WANTED:
        first, other = next(new(own, drafted), None), next(new(rival, drafted), None)
        if first is None or other is None:
            drafted += list(new(own, drafted))[: WANTED - len(drafted)]
            break
        if frozenset(first.tags) == frozenset(other.tags):
            drafted.append(replace(first, giver=BOTH))
            continue
        pair = [replace(first, giver=OWN), replace(other, giver=RIVAL)]
        draw.shuffle(pair)
        drafted += pair[: WANTED - len(drafted)]
    return drafted


def new(sets: Sequence[TagSet], drafted: Sequence[TagSet]) -> Iterator[TagSet]:
    there = {frozenset(one.tags) for one in drafted}
    return (one for one in sets if frozenset(one.tags) not in there)

"""Which tag beats which, where that is all that two sets differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from review.models import Project, Tag

from .decided import Choice
from .interval import Share


@dataclass(frozen=True)
class Duel:
    """`won`: how often `winner` was in the chosen set, of all times that these two met."""

    winner: str
    loser: str
    won: Share

    @property
    def lost(self) -> int:
        return self.won.of - self.won.wins


def duels(project: Project, choices: Sequence[Choice]) -> list[Duel]:
    """Each two tags that met, those that met most often first.

    They meet where a chosen and a rejected set have all else in common, and each has one tag
    that the other lacks. Of one decision each two meet once.
    """
    beats: Counter[tuple[int, int]] = Counter()
    for choice in choices:
        for rejected in set(choice.rejected):
            gained, lost = choice.chosen - rejected, rejected - choice.chosen
            if len(gained) == len(lost) == 1:
                (winner,), (loser,) = gained, lost
                beats[winner, loser] += 1
    names = dict(Tag.objects.filter(project=project).values_list("pk", "name"))
    found = []
    for one, other in {(min(pair), max(pair)) for pair in beats}:
        by_name = sorted((one, other), key=lambda tag: names[tag])
        winner, loser = sorted(by_name, key=lambda tag: -beats[tag, one + other - tag])
        wins = beats[winner, loser]
        found.append(Duel(names[winner], names[loser], Share(wins, wins + beats[loser, winner])))
    return sorted(found, key=lambda duel: (-duel.won.of, duel.winner, duel.loser))

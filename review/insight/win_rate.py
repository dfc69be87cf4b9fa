"""Which of two models wins, where people picked among the sets of both, not knowing whose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lgamma, log
from typing import NamedTuple

from review.models import Decision, DecisionKind, Project
from review.models.decision import REVIEWS
from review.models.proposal import Giver

from .interval import Share

MOST_READ = 50_000  # decisions, the latest
CHANCE = 0.05  # that of two equal models one is ever said to win
PLACES = 3


class Outcome(NamedTuple):
    """What came of a document that showed the sets of two models.

    winner: "" where the pick is no news of the two, and where nothing was picked. place: on the
    page, from 1, of what was picked; 0 where nothing was.
    """

    own: str
    rival: str
    prompt_version: str
    winner: str
    place: int


@dataclass(frozen=True)
class Duel:
    """One model against another; prompt_version: of the proposals, empty for all of them.

    won: of the picks of a set that only one of the two had put there. by_place: the same of the
    picks at each place of the page. no_news: picks of a set that both gave, or that was added
    when one had no more. unpicked: no set was picked.
    """

    model: str
    against: str
    prompt_version: str
    won: Share
    by_place: tuple[Share, ...]
    no_news: int
    unpicked: int

    @property
    def lost(self) -> int:
        return self.won.of - self.won.wins

    @property
    def documents(self) -> int:
        return self.won.of + self.no_news + self.unpicked

    @property
    def wins(self) -> bool:
        """Whether that may be said, at whatever moment one looks."""
        return self.is_decided and self.won.wins > self.lost

    @property
    def loses(self) -> bool:
        return self.is_decided and self.won.wins < self.lost

    @property
    def is_decided(self) -> bool:
        return evidence(self.won) >= log(1 / CHANCE)


def evidence(won: Share) -> float:
    """The logarithm of how much likelier the picks are if one model is better, by any amount
    equally likely beforehand, than if both are equal.

    It may be looked at after every pick: if they are equal, it ever reaches log(20) in one trial
    of twenty at most. An interval of 95 % looked at after every pick leaves ½ sooner or later.
    Source: J. Ville, "Étude critique de la notion de collectif", 1939; H. Robbins, "Statistical
    methods related to the law of the iterated logarithm", Annals of Mathematical Statistics 41,
    1970; R. Johari, P. Koomen, L. Pekelis, D. Walsh, "Peeking at A/B tests", KDD 2017.
    """
    wins, lost = won.wins, won.of - won.wins
    return won.of * log(2) + lgamma(wins + 1) + lgamma(lost + 1) - lgamma(won.of + 2)


def outcomes(project: Project) -> list[Outcome]:
    """By documents: the first review of each that stands, in the order of deciding.

    By people: no repeats, no curator's last words, nothing let through unseen. A second
    person's review of a document says the same of its proposal once more: it does not count.
    """
    rows = (
        Decision.objects.standing()
        .by_people()
        .filter(document__project=project, kind__in=REVIEWS, proposal__rival_model__gt="")
        .order_by("-pk")
        .values_list(
            "document",
            "kind",
            "proposal__model",
            "proposal__rival_model",
            "proposal__prompt_version",
            "candidate__giver",
            "candidate__rank",
            "shown",
        )[:MOST_READ]
    )
    found: dict[int, Outcome] = {}
    for document, kind, own, rival, version, giver, rank, shown in reversed(rows):
        if document not in found:
            picked = kind == DecisionKind.PICK
            winner = (
                {Giver.OWN.value: own, Giver.RIVAL.value: rival}.get(giver, "") if picked else ""
            )
            place = shown.index(rank) + 1 if picked and rank in shown else 0
            found[document] = Outcome(own, rival, version, winner, place)
    return list(found.values())


def duels(all_outcomes: Sequence[Outcome]) -> Iterator[tuple[Duel, list[Duel]]]:
    """Yield each two models' duel, and its parts by prompt version; those tried last first.

    Which of them was the rival changes when it is promoted; the draft treats both alike, so
    they are counted together. `model` is the one that was the rival last.
    """
    pairs: dict[frozenset[str], list[Outcome]] = {}
    for it in reversed(all_outcomes):
        pairs.setdefault(frozenset((it.own, it.rival)), []).append(it)
    for its in pairs.values():
        last = its[0]
        versions = Counter(it.prompt_version for it in its)
        parts = [
            duel(last.rival, last.own, [it for it in its if it.prompt_version == version], version)
            for version, _count in versions.most_common()
        ]
        yield duel(last.rival, last.own, its), parts


def duel(model: str, against: str, its: Sequence[Outcome], prompt_version: str = "") -> Duel:
    """Of outcomes between these two."""
    told = [it for it in its if it.winner]
    return Duel(
        model,
        against,
        prompt_version,
        won_by(model, told),
        tuple(
            won_by(model, [it for it in told if it.place == place + 1]) for place in range(PLACES)
        ),
        no_news=sum(it.place > 0 and not it.winner for it in its),
        unpicked=sum(it.place == 0 for it in its),
    )


def between(model: str, against: str, all_outcomes: Sequence[Outcome]) -> Duel:
    both = {model, against}
    return duel(model, against, [it for it in all_outcomes if {it.own, it.rival} == both])


def won_by(model: str, told: Sequence[Outcome]) -> Share:
    return Share(sum(it.winner == model for it in told), len(told))

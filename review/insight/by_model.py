"""What each model brings, by the version of its prompt: how it is decided on, at which cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from review.models import DecisionKind, Price

from .decided import Choice, Decided
from .interval import Share


@dataclass(frozen=True)
class Yielded:
    """first: the share of the picks that took the model's first candidate.

    picked, corrected, none, skipped: shares of the decisions. pairs: sets that beat another,
    as pipeline/pair.py has them. tokens: in and out, of the proposals that were decided on. money:
    what these cost by today's price of the model, in millionths; None where it has none, and
    where two models shared the proposals.
    """

    model: str
    prompt_version: str
    proposals: int
    decisions: int
    first: Share
    picked: Share
    corrected: Share
    none: Share
    skipped: Share
    pairs: int
    tokens: int
    money: int | None

    @property
    def pairs_per_decision(self) -> float:
        return self.pairs / self.decisions

    @property
    def tokens_per_pair(self) -> float | None:
        """None where there are no pairs, or no tokens were counted."""
        return self.tokens / self.pairs if self.pairs and self.tokens else None

    @property
    def money_per_pair(self) -> float | None:
        """In millionths; None where there are no pairs, or no price."""
        return self.money / self.pairs if self.pairs and self.money is not None else None


def yields(all_decided: Sequence[Decided], choices: Sequence[Choice]) -> list[Yielded]:
    """Those with the most decisions first."""
    prices = {price.model: price for price in Price.objects.all()}
    groups: dict[tuple[str, str], list[Decided]] = defaultdict(list)
    for it in all_decided:
        groups[it.models, it.prompt_version].append(it)
    pairs: Counter[tuple[str, str]] = Counter()
    for choice in choices:
        pairs[choice.decided.models, choice.decided.prompt_version] += len(choice.rejected)
    found = [
        _of(model, version, its, pairs, prices.get(model))
        for (model, version), its in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.decisions, one.model, one.prompt_version))


def _of(
    model: str,
    version: str,
    its: Sequence[Decided],
    pairs: Counter[tuple[str, str]],
    price: Price | None,
) -> Yielded:
    kinds = Counter(it.kind for it in its)
    first = sum(it.kind == DecisionKind.PICK and it.rank == 1 for it in its)
    once = {it.proposal: it for it in its}.values()

    def share(kind: DecisionKind) -> Share:
        return Share(kinds[kind], len(its))

    return Yielded(
        model,
        version,
        proposals=len(once),
        decisions=len(its),
        first=Share(first, kinds[DecisionKind.PICK]),
        picked=share(DecisionKind.PICK),
        corrected=share(DecisionKind.CORRECT),
        none=share(DecisionKind.NONE),
        skipped=share(DecisionKind.SKIP),
        pairs=pairs[model, version],
        tokens=sum(it.tokens for it in once),
        money=price.of(
            sum(it.tokens_in for it in once),
            sum(it.tokens_cached for it in once),
            sum(it.tokens_out for it in once),
        )
        if price
        else None,
    )

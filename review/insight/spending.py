"""What models have cost a project lately: tokens, and money where a price is known."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from review.models import Price, Project, Proposal

DAYS = 30


@dataclass(frozen=True)
class Spent:
    """Of one model, or of one day. money: in millionths; None where no price is known."""

    what: str
    runs: int
    tokens_in: int
    cached: int
    tokens_out: int
    money: int | None

    def and_also(
        self, runs: int, tokens_in: int, cached: int, tokens_out: int, money: int | None
    ) -> Spent:
        """Both together; of the money what is known."""
        known = [one for one in (self.money, money) if one is not None]
        return Spent(
            self.what,
            self.runs + runs,
            self.tokens_in + tokens_in,
            self.cached + cached,
            self.tokens_out + tokens_out,
            sum(known) if known else None,
        )

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


def lately(project: Project) -> tuple[list[Spent], list[Spent]]:
    """By model, the most tokens first; and by day (UTC), the newest first. Of the last 30 days."""
    since = timezone.now() - datetime.timedelta(days=DAYS)
    proposals = Proposal.objects.filter(document__project=project, created_at__gte=since)
    by_model = [
        Spent(str(key[0]), *used)
        for key, used in sums(proposals, "model").items()
        if used[1] or used[3]  # words that were counted cost nothing
    ]
    days: dict[str, Spent] = {}
    dated = proposals.annotate(day=TruncDate("created_at", tzinfo=datetime.UTC))
    for key, used in sums(dated, "model", "day").items():
        day = str(key[1])
        days[day] = days.get(day, Spent(day, 0, 0, 0, 0, None)).and_also(*used)
    by_day = [days[day] for day in sorted(days, reverse=True)]
    return sorted(by_model, key=lambda one: -one.tokens), by_day


def sums(
    proposals: QuerySet[Proposal], *by: str
) -> dict[tuple[object, ...], tuple[int, int, int, int, int | None]]:
    """For each group, whose first column is the model: runs, tokens in, cached, out, money."""
    prices = {price.model: price for price in Price.objects.all()}
    found = {}
    for row in proposals.values(*by).annotate(
        runs=Count("pk"),
        sent=Sum("tokens_in", default=0),
        cached=Sum("tokens_cached", default=0),
        said=Sum("tokens_out", default=0),
    ):
        price = prices.get(row["model"])
        used = row["sent"], row["cached"], row["said"]
        key = tuple(row[name] for name in by)
        found[key] = (row["runs"], *used, price.of(*used) if price else None)
    return found

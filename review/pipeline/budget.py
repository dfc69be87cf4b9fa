"""Caps on what a project spends: counted before each call at its most, settled by its usage."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet, Sum

from review.llm.errors import OverBudget, Unavailable
from review.llm.sampling import Usage
from review.models import Batch, Budget, Document, DocumentState, Price, Project, Proposal

SPENT = "The project's budget"  # so begins the reason of a document that waits for money
LOOK_AGAIN = 3600.0  # seconds, where no midnight brings anything
AT_ONCE = 50  # documents of a project that the sweeper lets try again
LOOKED_AT = 2000  # of those that wait, the oldest: they are tried first, and so refused first


@dataclass(frozen=True)
class Purse:
    """What pays for the calls of one model about one project's documents."""

    project: int
    price: Price | None

    @contextmanager
    def call(self, most_in: int, most_out: int) -> Iterator[Usage]:
        """Around a call: let it be made, and settle what it used. Raises OverBudget before it.

        A server that never began to answer has charged nothing. What a call has cost that was
        begun and not finished nobody knows: it stays counted with its most.
        """
        day = today()
        if not self.hold(most_in, most_out, day):
            raise over(self.project, day)
        tokens, money = most_in + most_out, self.cost(most_in, 0, most_out)
        used = Usage()
        try:
            yield used
        except Unavailable as error:
            if not error.begun:
                Budget.objects.give_back(self.project, day, tokens, money)
            raise
        tokens -= used.tokens_in + used.tokens_out
        money -= self.cost(used.tokens_in, used.tokens_cached, used.tokens_out)
        Budget.objects.give_back(self.project, day, tokens, money)

    def hold(self, most_in: int, most_out: int, day: datetime.date | None = None) -> bool:
        """Count what may be spent at most; False, and nothing counted, where it is too much."""
        money = self.cost(most_in, 0, most_out)
        return Budget.objects.hold(self.project, day or today(), most_in + most_out, money)

    def cost(self, tokens_in: int, cached: int, tokens_out: int) -> int:
        """In millionths."""
        return self.price.of(tokens_in, cached, tokens_out) if self.price else 0


def purse(project: int, model: str) -> Purse:
    return Purse(project, Price.objects.filter(model=model).first())


def settle(batch: Batch) -> None:
    """Count what its answers have used, at the full price, in place of what it held."""
    paid = purse(batch.project_id, batch.model)
    used = paid.cost(batch.tokens_in, batch.tokens_cached, batch.tokens_out)
    Budget.objects.give_back(
        batch.project_id,
        batch.created_at.astimezone(datetime.UTC).date(),
        batch.tokens_held - batch.tokens_in - batch.tokens_out,
        batch.money_held - used,
    )


def is_capped(project: int) -> bool:
    budget = Budget.objects.filter(project=project).first()
    return budget is not None and budget.is_capped


def today() -> datetime.date:
    """In UTC, whatever the project's time zone: a budget's day begins for all at once."""
    return datetime.datetime.now(datetime.UTC).date()


def over(project: int, day: datetime.date) -> OverBudget:
    """The sentence, and when to look again: at midnight, where a day's cap is in the way."""
    budget = Budget.objects.get(project=project)
    whole = any(
        cap is not None and counted >= cap
        for cap, counted in (
            (budget.tokens_in_all, budget.all_tokens),
            (budget.money_in_all, budget.all_money),
        )
    )
    if whole or (budget.tokens_a_day is None and budget.money_a_day is None):
        told = f"{SPENT} does not reach for another call. It goes on when an owner raises it."
        return OverBudget(told, LOOK_AGAIN)
    tomorrow = datetime.datetime.combine(
        day + datetime.timedelta(days=1), datetime.time(), datetime.UTC
    )
    left = (tomorrow - datetime.datetime.now(datetime.UTC)).total_seconds()
    told = f"{SPENT} of today does not reach for another call. It goes on at midnight (UTC), "
    return OverBudget(told + "or when an owner raises it.", max(1.0, left))


@dataclass(frozen=True)
class Caps:
    """None: no cap. Money in millionths."""

    tokens_a_day: int | None = None
    tokens_in_all: int | None = None
    money_a_day: int | None = None
    money_in_all: int | None = None


@transaction.atomic
def cap(project: Project, caps: Caps) -> None:
    """Set the caps; documents that wait for money are tried again.

    What was spent before there was a cap counts, at today's prices; calls that are under way at
    that moment do not.
    """
    budget, _made = Budget.objects.select_for_update().get_or_create(project=project)
    if not budget.is_capped:
        count_past(budget)
    Budget.objects.filter(pk=budget.pk).update(**vars(caps))
    waiting = Document.objects.filter(
        project=project, state=DocumentState.WAITING, reason__startswith=SPENT
    )
    waiting.update(not_before=None, reason="")


def look_again() -> int:
    """Let some try again that found too little, where the cap is not reached: returns how many.

    What calls under way might have cost was counted then; by now they have ended, and most of it
    was given back. The few that find too little once more have asked nobody.
    """
    freed = 0
    for budget in Budget.objects.all():
        if not budget.is_capped or is_reached(budget):
            continue
        waiting = Document.objects.filter(project=budget.project_id, state=DocumentState.WAITING)
        oldest = waiting.order_by("pk").values_list("pk", "reason", "not_before")[:LOOKED_AT]
        put_off = [key for key, reason, until in oldest if until and reason.startswith(SPENT)]
        some = waiting.filter(pk__in=put_off[:AT_ONCE], reason__startswith=SPENT)
        freed += some.update(not_before=None)
    return freed


def is_reached(budget: Budget) -> bool:
    """One of its caps is, to the last token."""
    tokens, money = budget.today(today())
    counted = (
        (budget.tokens_a_day, tokens),
        (budget.money_a_day, money),
        (budget.tokens_in_all, budget.all_tokens),
        (budget.money_in_all, budget.all_money),
    )
    return any(cap is not None and spent >= cap for cap, spent in counted)


def count_past(budget: Budget) -> None:
    """Bring it up to what the project's proposals have cost: nobody counts without a cap."""
    day = today()
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    proposals = Proposal.objects.filter(document__project=budget.project_id)
    all_tokens, all_money = cost_of(proposals)
    day_tokens, day_money = cost_of(proposals.filter(created_at__gte=midnight))
    Budget.objects.filter(pk=budget.pk).update(
        day=day,
        day_tokens=day_tokens,
        day_money=day_money,
        all_tokens=all_tokens,
        all_money=all_money,
    )


def cost_of(proposals: QuerySet[Proposal]) -> tuple[int, int]:
    """Tokens, and money in millionths, at today's prices."""
    prices = {price.model: price for price in Price.objects.all()}
    tokens = money = 0
    columns = ("tokens_in", "tokens_cached", "tokens_out")
    sums = [Sum(column, default=0) for column in columns]
    rows = proposals.values("model").annotate(sent=sums[0], cached=sums[1], said=sums[2])
    for row in rows:
        sent, cached, said = row["sent"], row["cached"], row["said"]
        tokens += sent + said
        if price := prices.get(row["model"]):
            money += price.of(sent, cached, said)
    return tokens, money

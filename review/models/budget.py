"""What a project may spend on its models, and what it has spent."""

from __future__ import annotations

import datetime
import math

from django.db import models
from django.db.models import Case, F, Q, Value, When

from .project import Project

MILLIONTHS = 1_000_000  # of money: whole numbers, so that sums are exact on every database


class BudgetQuerySet(models.QuerySet["Budget"]):
    """Each change is one UPDATE: of calls at the same moment, the last that fits is let through."""

    def hold(self, project: int, day: datetime.date, tokens: int, money: int) -> bool:
        """Count what a call may cost at most; False, and nothing counted, where it may be too much.

        money: in millionths. day: in UTC.
        """
        today = Q(day=day)
        found = self.filter(project=project).annotate(
            tokens_today=Case(When(today, then=F("day_tokens")), default=Value(0)),
            money_today=Case(When(today, then=F("day_money")), default=Value(0)),
        )
        fits = found.filter(
            Q(tokens_a_day=None) | Q(tokens_a_day__gte=F("tokens_today") + tokens),
            Q(money_a_day=None) | Q(money_a_day__gte=F("money_today") + money),
            Q(tokens_in_all=None) | Q(tokens_in_all__gte=F("all_tokens") + tokens),
            Q(money_in_all=None) | Q(money_in_all__gte=F("all_money") + money),
        )
        return bool(
            fits.update(
                day=day,
                day_tokens=F("tokens_today") + tokens,
                day_money=F("money_today") + money,
                all_tokens=F("all_tokens") + tokens,
                all_money=F("all_money") + money,
            )
        )

    def give_back(self, project: int, day: datetime.date, tokens: int, money: int) -> None:
        """What was held on `day` and not spent after all. Less than 0 where it was more."""
        today = Q(day=day)
        self.filter(project=project).update(
            day_tokens=F("day_tokens") - Case(When(today, then=Value(tokens)), default=Value(0)),
            day_money=F("day_money") - Case(When(today, then=Value(money)), default=Value(0)),
            all_tokens=F("all_tokens") - tokens,
            all_money=F("all_money") - money,
        )


class Budget(models.Model):
    """A project's caps, where it has some, and what counts towards them.

    Counted is what calls have cost, and what those that are under way may cost at most. What a
    call that was cut off has cost is not known: it stays counted with its most.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="budget")
    tokens_a_day = models.BigIntegerField(null=True, blank=True, help_text="Empty: no cap.")
    tokens_in_all = models.BigIntegerField(null=True, blank=True, help_text="Empty: no cap.")
    money_a_day = models.BigIntegerField(null=True, blank=True, help_text="In millionths.")
    money_in_all = models.BigIntegerField(null=True, blank=True, help_text="In millionths.")
    day = models.DateField(null=True, blank=True, help_text="The last one with a call, in UTC.")
    day_tokens = models.BigIntegerField(default=0)
    day_money = models.BigIntegerField(default=0)
    all_tokens = models.BigIntegerField(default=0)
    all_money = models.BigIntegerField(default=0)

    objects = BudgetQuerySet.as_manager()

    def __str__(self) -> str:
        return f"The budget of {self.project}"

    @property
    def is_capped(self) -> bool:
        caps = (self.tokens_a_day, self.tokens_in_all, self.money_a_day, self.money_in_all)
        return any(cap is not None for cap in caps)

    def today(self, day: datetime.date) -> tuple[int, int]:
        """Tokens, and money in millionths."""
        return (self.day_tokens, self.day_money) if self.day == day else (0, 0)


class Price(models.Model):
    """What a million tokens of a model cost, wherever it is served; in any one currency."""

    model = models.CharField(max_length=200, unique=True)
    tokens_in = models.FloatField(default=0)
    cached = models.FloatField(null=True, blank=True, help_text="Empty: as all that is sent.")
    tokens_out = models.FloatField(default=0)

    def __str__(self) -> str:
        return self.model

    def of(self, tokens_in: int, cached: int, tokens_out: int) -> int:
        """In millionths, rounded up. cached: of those in."""
        cheap = self.tokens_in if self.cached is None else self.cached
        sent = (tokens_in - cached) * self.tokens_in + cached * cheap
        return math.ceil(sent + tokens_out * self.tokens_out)

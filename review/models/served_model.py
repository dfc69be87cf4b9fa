"""A model behind an address: what it honours, how it is asked, whether just now, how often."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import models
from django.db.models import F, Max, Q
from django.utils import timezone

from .evaluation import Evaluation

FAILURES = 5  # of the server, one after another: then it is left alone for a while
SHORTEST, LONGEST = 10.0, 600.0  # seconds that it is left alone: the first time, and at most


class ServedModelQuerySet(models.QuerySet["ServedModel"]):
    """Each change is one conditional UPDATE: of two workers at once, one makes it."""

    def failed(self, key: int, error: str, now: datetime.datetime, pause: float | None) -> bool:
        """Count a failure of the server; True where this one opens the breaker.

        pause: seconds that the server asked for. Else each time in a row is twice as long.
        """
        row = self.filter(pk=key)
        row.update(failures=F("failures") + 1, last_error=error, last_error_at=now)
        due = row.filter(failures__gte=FAILURES)
        due = due.filter(Q(open_until=None) | Q(open_until__lte=now))
        openings = due.values_list("openings", flat=True).first()
        if openings is None:
            return False
        wait = min(LONGEST, max(SHORTEST * 2.0 ** min(openings, 10), pause or 0))
        until = now + datetime.timedelta(seconds=wait)
        return bool(due.update(open_until=until, openings=F("openings") + 1, probing_until=None))

    def answered(self, key: int) -> bool:
        """The server is well: forget its failures, and close the breaker if it was open."""
        troubled = self.filter(pk=key).filter(Q(failures__gt=0) | ~Q(open_until=None))
        return bool(troubled.update(failures=0, openings=0, open_until=None, probing_until=None))

    def probe(self, key: int, now: datetime.datetime, seconds: float) -> bool:
        """Take the one call by which a breaker half open is tried, for so many seconds."""
        half_open = self.filter(pk=key, open_until__lte=now)
        free = half_open.filter(Q(probing_until=None) | Q(probing_until__lte=now))
        return bool(free.update(probing_until=now + datetime.timedelta(seconds=seconds)))

    def asked_so_since(
        self, model: str, bases: models.QuerySet[Any, Any]
    ) -> datetime.datetime | None:
        """When it was last changed how this model is asked, at whatever address; None: never.

        bases: the names of those from which it was tuned, by whose recipe it may be asked.
        """
        asked = self.filter(Q(model=model) | Q(model__in=bases))
        found: datetime.datetime | None = asked.aggregate(last=Max("adopted_at"))["last"]
        return found

    def to_default(self) -> int:
        """Ask them as others are asked, by no run's recipe."""
        adopted = self.filter(recipe__isnull=False)
        return adopted.update(recipe=None, adopted_from=None, adopted_at=timezone.now())


class ServedModel(models.Model):
    """What the workers have found out about one model at one address, and share.

    The breaker: closed while `open_until` is empty; open until that moment, when nobody asks;
    then half open, when one call at a time is let through, until `probing_until` at the
    latest. Its outcome closes the breaker, or opens it for twice as long.
    """

    base_url = models.CharField(max_length=500, help_text="“embedded” for the embedded model.")
    model = models.CharField(max_length=200)
    manners = models.JSONField(default=dict, help_text="What it honours: llm/manners.py.")
    probed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was last found out from the beginning."
    )
    calls_at_once = models.FloatField(
        null=True, blank=True, help_text="As many as it bore when this was last written down."
    )
    failures = models.PositiveIntegerField(
        default=0, help_text="Of the server, since it last answered."
    )
    openings = models.PositiveIntegerField(
        default=0, help_text="Of the breaker, since it was last closed."
    )
    open_until = models.DateTimeField(null=True, blank=True)
    probing_until = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    last_error_at = models.DateTimeField(null=True, blank=True)

    recipe = models.JSONField(
        null=True, blank=True, help_text="The fields of llm/recipe.py's Recipe; empty: the default."
    )
    adopted_from = models.ForeignKey(
        Evaluation,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The run whose recipe it is; empty also where that was deleted.",
    )
    # Since when it is asked as it is, also by the default; empty: that was never changed.
    adopted_at = models.DateTimeField(null=True, blank=True)

    objects = ServedModelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["base_url", "model"], name="served_model_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.model} at {self.base_url}"

    def down_since(self) -> datetime.datetime | None:
        """Since when it is left alone, at the latest; None while it may be asked freely.

        The breaker was opened so many times in a row, each time for at least its time.
        """
        if self.open_until is None:
            return None
        times = range(self.openings)
        seconds = sum(min(LONGEST, SHORTEST * 2.0 ** min(one, 10)) for one in times)
        return self.open_until - datetime.timedelta(seconds=seconds)

    def pause(self, now: datetime.datetime) -> float:
        """Seconds until it may be asked, perhaps by one only; 0 for now."""
        until = self.open_until
        if until is not None and until <= now and self.probing_until is not None:
            until = self.probing_until  # another asks just now; it will know sooner than that
        return max(0.0, (until - now).total_seconds()) if until else 0.0

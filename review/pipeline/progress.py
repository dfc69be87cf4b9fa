"""How far the work is: for the bar above the desk, and for a queue that has run empty."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db.models import Count, Q
from django.utils import timezone

from review.models import DocumentState, Project, Standing

MANY = 20_000  # documents; of so many, nobody sees the last digit move
KEPT = 15  # seconds that the counts of many documents are kept: counting them reads them all


@dataclass(frozen=True)
class Progress:
    mine_today: int
    reviewed: int
    total: int

    @property
    def left(self) -> int:
        return self.total - self.reviewed


@dataclass(frozen=True)
class WhyEmpty:
    """Numbers of documents: with the model, held by others, failed, reviewed, and in all."""

    proposing: int
    leased: int
    failed: int
    reviewed: int
    total: int


def of(project: Project, reviewer: User) -> Progress:
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    mine = Standing.objects.filter(reviewer=reviewer, decision__created_at__gte=midnight)
    reviewed, total = _counts(project)
    return Progress(mine.count(), reviewed, total)


def _counts(project: Project) -> tuple[int, int]:
    """Documents reviewed, and in all; of many documents, as they were some seconds ago."""
    key = f"progress:{project.pk}"
    kept: tuple[int, int] | None = cache.get(key)
    if kept is not None:
        return kept
    counts = project.documents.aggregate(
        reviewed=Count("pk", filter=Q(state=DocumentState.REVIEWED)), total=Count("pk")
    )
    found = (counts["reviewed"], counts["total"])
    if found[1] > MANY:
        cache.set(key, found, KEPT)
    return found


def why_empty(project: Project, reviewer: User) -> WhyEmpty:
    """What there is instead of a next document."""
    with_model = Q(state__in=[DocumentState.WAITING, DocumentState.PROPOSING])
    held = Q(state=DocumentState.READY, lease_expires_at__gt=timezone.now())
    return WhyEmpty(
        **project.documents.aggregate(
            total=Count("pk"),
            proposing=Count("pk", filter=with_model),
            leased=Count("pk", filter=held & ~Q(lease_holder=reviewer)),
            failed=Count("pk", filter=Q(state=DocumentState.FAILED)),
            reviewed=Count("pk", filter=Q(state=DocumentState.REVIEWED)),
        )
    )

"""How far the work is: for the bar above the desk, and for a queue that has run empty."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Count, Q
from django.utils import timezone

from review.models import Decision, DocumentState, Project


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
    mine = Decision.objects.filter(
        reviewer=reviewer, document__project=project, created_at__gte=midnight
    )
    counts = project.documents.aggregate(
        total=Count("pk"), reviewed=Count("pk", filter=Q(state=DocumentState.REVIEWED))
    )
    return Progress(mine.count(), counts["reviewed"], counts["total"])


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

"""How far the work is: for the bar above the desk, and for a queue that has run empty."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from review.models import DocumentState, Project, Tally

# Plain SQL, because every pick waits for it. What a person took back counts for nothing.
BAR = """
SELECT
    COALESCE(SUM(CASE WHEN kind = 'undo' THEN -1 ELSE 1 END)
             FILTER (WHERE created_at >= %(midnight)s), 0),
    COALESCE(SUM(CASE WHEN kind = 'undo' THEN -1 ELSE 1 END)
             FILTER (WHERE created_at >= %(hour_ago)s), 0),
    (SELECT COALESCE(SUM(change), 0) FROM review_tally
     WHERE project_id = %(project)s AND state = 'reviewed'),
    (SELECT COALESCE(SUM(change), 0) FROM review_tally
     WHERE project_id = %(project)s AND state <> 'retired')
FROM review_decision WHERE reviewer_id = %(reviewer)s AND created_at >= %(since)s
"""


@dataclass(frozen=True)
class Progress:
    """mine_today, in_the_last_hour: decisions of one person; the rest: documents of the project."""

    mine_today: int
    in_the_last_hour: int
    reviewed: int
    total: int

    @property
    def left(self) -> int:
        return self.total - self.reviewed


@dataclass(frozen=True)
class WhyEmpty:
    """Numbers of documents: with the model, held by others, failed, reviewed, disputed, all."""

    proposing: int
    leased: int
    failed: int
    reviewed: int
    disputed: int
    total: int


def of(project: Project, reviewer: User) -> Progress:
    now = timezone.localtime()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    hour_ago = now - datetime.timedelta(hours=1)
    values = {
        "project": project.pk,
        "reviewer": reviewer.pk,
        "midnight": connection.ops.adapt_datetimefield_value(midnight),
        "hour_ago": connection.ops.adapt_datetimefield_value(hour_ago),
        "since": connection.ops.adapt_datetimefield_value(min(midnight, hour_ago)),
    }
    with connection.cursor() as cursor:
        cursor.execute(BAR, values)
        today, lately, reviewed, total = map(int, cursor.fetchone())
    return Progress(max(today, 0), max(lately, 0), reviewed, total)


def why_empty(project: Project, reviewer: User) -> WhyEmpty:
    """What there is instead of a next document."""
    counts = Tally.objects.of(project)
    held = project.documents.filter(
        state=DocumentState.READY, lease_expires_at__gt=timezone.now()
    ).exclude(lease_holder=reviewer)
    return WhyEmpty(
        total=sum(counts.values()) - counts[DocumentState.RETIRED],
        proposing=counts[DocumentState.WAITING] + counts[DocumentState.PROPOSING],
        leased=held.count(),
        failed=counts[DocumentState.FAILED],
        reviewed=counts[DocumentState.REVIEWED],
        disputed=counts[DocumentState.DISPUTED],
    )

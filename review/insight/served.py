"""What a model did today."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db.models import Count, Max, Q
from django.utils import timezone

from review.models import Proposal


@dataclass(frozen=True)
class Today:
    """runs: over one document each. unanswered: those of them that ended without tags."""

    runs: int
    unanswered: int
    last: datetime.datetime | None


def today(model: str, base_url: str | None) -> Today:
    """Since midnight. base_url: None counts the model wherever it was served."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = Proposal.objects.filter(created_at__gte=midnight, model=model)
    if base_url is not None:
        rows = rows.filter(endpoint=base_url)
    counted = rows.aggregate(
        runs=Count("pk"), unanswered=Count("pk", filter=~Q(error="")), last=Max("created_at")
    )
    return Today(**counted)

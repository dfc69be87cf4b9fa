"""What was left lying is put back in its place: by beat each minute, and after every intake.

The database is the truth and the broker holds hints: whatever it lost is found here again.
"""

from __future__ import annotations

import logging

from django.db import connection
from django.utils import timezone

from review.models import Document, DocumentState, Project, Swept
from review.models.document import FREE

from .close import settle_counts
from .propose import MOST_ATTEMPTS

TOGETHER = """
WITH gone AS (DELETE FROM review_tally RETURNING project_id, state, change)
INSERT INTO review_tally (project_id, state, change)
SELECT project_id, state, sum(change) FROM gone GROUP BY project_id, state
"""

news = logging.getLogger("tagger")


def take_back() -> int:
    """Put documents whose worker died back to wait; returns how many.

    A run that is alive always ends before its lease does. One that has killed its worker
    three times is set aside as failed, for a person to look at.
    """
    lost = Document.objects.filter(
        state=DocumentState.PROPOSING, lease_expires_at__lte=timezone.now()
    )
    for document in lost.filter(attempts__gte=MOST_ATTEMPTS).only("title", "external_id"):
        news.info("%s: set aside, it ended the worker %d times.", document, MOST_ATTEMPTS)
    lost.filter(attempts__gte=MOST_ATTEMPTS).update(
        state=DocumentState.FAILED,
        reason=f"The worker died {MOST_ATTEMPTS} times while the model read this document. "
        "It was set aside; ask the model again when the cause is known.",
        attempts=0,
        **FREE,
    )
    return lost.update(state=DocumentState.WAITING, **FREE)


def settle() -> None:
    """Open and close documents by the reviews that each project needs now.

    A decision that raced with a change of that number may have gone by the old one.
    """
    for project in Project.objects.all():
        settle_counts(project)


def tally() -> None:
    """Put the changes of each sum together, so that reading it stays quick.

    Others add theirs meanwhile. SQLite's triggers keep one row for each sum anyhow.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(TOGETHER)


def note() -> None:
    """That the sweeper was through: whoever looks sees by it that it still comes."""
    Swept.objects.update_or_create(pk=1, defaults={"at": timezone.now()})


def due(limit: int) -> list[int]:
    """The documents that the model should read now, oldest first."""
    return list(Document.objects.due(timezone.now()).values_list("pk", flat=True)[:limit])

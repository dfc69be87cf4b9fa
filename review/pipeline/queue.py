"""The reviewer's turn: the next document, leased, so that nobody else is handed it."""

from __future__ import annotations

import datetime
import uuid

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef
from django.utils import timezone

from review.models import Decision, Document, DocumentState, Project
from review.models.document import DocumentQuerySet

TRIED_AT_ONCE = 20  # ids read before the next look; others may win some of them meanwhile


def claim_next(project: Project, reviewer: User) -> Document | None:
    """Hand the reviewer a document that is ready, and lease it to them; None when there is none.

    Whoever holds one already gets that one again: a page that is loaded twice leases once.
    The order is by arrival. The claim is one conditional UPDATE on a lease that is free, so
    of many at once exactly one wins, on any database.
    """
    now = timezone.now()
    held = _open_to(project, reviewer).filter(lease_holder=reviewer, lease_expires_at__gt=now)
    document = held.first()
    if document is not None:
        return document
    while True:
        free = _open_to(project, reviewer).unleased(now).order_by("pk")
        numbers = list(free.values_list("pk", flat=True)[:TRIED_AT_ONCE])
        for number in numbers:
            if _lease(number, reviewer, now):
                return Document.objects.get(pk=number)
        if len(numbers) < TRIED_AT_ONCE:
            return None


def _open_to(project: Project, reviewer: User) -> DocumentQuerySet:
    """The documents that still want a decision, and have none from this reviewer."""
    own = Decision.objects.filter(document=OuterRef("pk"), reviewer=reviewer)
    return project.documents.filter(~Exists(own), state=DocumentState.READY)


def _lease(number: int, reviewer: User, now: datetime.datetime) -> bool:
    free = Document.objects.filter(pk=number, state=DocumentState.READY).unleased(now)
    return bool(
        free.update(
            lease_token=uuid.uuid4(),
            lease_holder=reviewer,
            lease_started_at=now,
            lease_expires_at=now + datetime.timedelta(minutes=settings.LEASE_MINUTES),
        )
    )

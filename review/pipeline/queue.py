"""The reviewers' queue: who is handed which document next, and who holds what.

The order, in one place (`in_order`): what a curator pinned; then what fewest people have
decided on; then where the candidates disagree most, since there a pick says most; then what
came first. Documents whose samples all agree come last.
"""

from __future__ import annotations

import datetime
import uuid

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef
from django.utils import timezone

from review.models import Document, DocumentState, Project, Standing
from review.models.document import FREE, DocumentQuerySet

TRIED_AT_ONCE = 20  # ids read before the next look; others may win some of them meanwhile


def in_order(documents: DocumentQuerySet) -> DocumentQuerySet:
    """The order of the queue. The index `document_queue` has these columns: keep them alike."""
    return documents.order_by("-pinned", "reviews", "-disagreement", "pk")


def open_to(project: Project, reviewer: User) -> DocumentQuerySet:
    """The documents that still want a decision, and have none from this reviewer."""
    own = Standing.objects.filter(document=OuterRef("pk"), reviewer=reviewer)
    return project.documents.filter(~Exists(own), state=DocumentState.READY)


def held_by(project: Project, reviewer: User) -> list[Document]:
    """What the reviewer holds just now, first come first: what is on the page, then the next."""
    live = project.documents.filter(
        lease_holder=reviewer, lease_expires_at__gt=timezone.now(), state=DocumentState.READY
    )
    return list(live.order_by("lease_started_at", "pk").defer("text"))


def claim_next(project: Project, reviewer: User, after: int | None = None) -> Document | None:
    """Hand the reviewer a document, leased to them; None when there is none.

    Whoever holds one already gets that one again: a page that is loaded twice leases once.
    `after` asks for the document that is to follow that one: it is prefetched.
    """
    for document in held_by(project, reviewer):
        if document.pk != after:
            return document
    return claim_another(project, reviewer)


def claim_another(project: Project, reviewer: User) -> Document | None:
    """Lease the first free document to the reviewer, whatever they hold already."""
    at_once = 1  # nearly always the first is won; where many reach for it, look further
    while True:
        free = in_order(open_to(project, reviewer).unleased(timezone.now()))
        documents = list(free.defer("text")[:at_once])
        for document in documents:
            if _lease(document, reviewer):
                return document
        if len(documents) < at_once:
            return None
        at_once = TRIED_AT_ONCE


def lease_to(number: int, reviewer: User) -> bool:
    """Lease this very document, if it is free."""
    document = Document.objects.defer("text").get(pk=number)
    return _lease(document, reviewer)


def _lease(document: Document, reviewer: User) -> bool:
    """One conditional UPDATE on a lease that is free: of many at once, exactly one wins."""
    now = timezone.now()
    lease = {
        "lease_token": uuid.uuid4(),
        "lease_holder": reviewer,
        "lease_started_at": now,
        "lease_expires_at": now + lease_time(),
    }
    free = Document.objects.filter(pk=document.pk, state=DocumentState.READY).unleased(now)
    if not free.update(**lease):
        return False
    for name, value in lease.items():
        setattr(document, name, value)
    return True


def renew(reviewer: User, lease: uuid.UUID) -> bool:
    """Hold the document for five more minutes: its page is open. False when it is lost."""
    held = Document.objects.filter(
        lease_token=lease, lease_holder=reviewer, state=DocumentState.READY
    )
    return bool(held.update(lease_expires_at=timezone.now() + lease_time()))


def release(reviewer: User, lease: uuid.UUID) -> None:
    """Give the document back: its page was left. The late pick of a page that comes back
    (the browser's back button) still counts while nobody else has taken it.
    """
    held = Document.objects.filter(
        lease_token=lease, lease_holder=reviewer, state=DocumentState.READY
    )
    held.update(lease_expires_at=timezone.now())


def lease_time() -> datetime.timedelta:
    return datetime.timedelta(minutes=settings.LEASE_MINUTES)


def settle_counts(project: Project) -> tuple[int, int]:
    """Open or close documents by the reviews that are needed now; returns how many of each.

    After `reviews_needed` was raised or lowered. It may run at any time, and changes nothing
    where all is in order.
    """
    documents = project.documents
    closed = documents.filter(
        state=DocumentState.READY, reviews__gte=project.reviews_needed
    ).update(state=DocumentState.REVIEWED, **FREE)
    opened = documents.filter(
        state=DocumentState.REVIEWED, reviews__lt=project.reviews_needed
    ).update(state=DocumentState.READY)
    return opened, closed

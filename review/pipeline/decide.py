"""A reviewer's choice becomes a decision: once, for good, or not at all."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, F, Value, When
from django.utils import timezone

from review.models import Candidate, Decision, DecisionKind, Document, DocumentState

LONGEST = 24 * 60 * 60 * 1000  # milliseconds; a page left open overnight says nothing more


class Conflict(Exception):
    """The pick does not fit the document as it now is; nothing was changed. Says why."""


@transaction.atomic
def decide(candidate: Candidate, reviewer: User, lease: uuid.UUID, key: uuid.UUID) -> Decision:
    """Store that the reviewer picked the candidate, and give back the document's lease.

    The same key again returns the decision that was stored under it: a double press or a
    repeated POST adds nothing. A lease that has run out still counts while nobody else has
    taken the document. Raises Conflict.
    """
    stored = Decision.objects.filter(key=key).first()
    if stored is not None:
        if (stored.reviewer_id, stored.candidate_id) == (reviewer.pk, candidate.pk):
            return stored
        raise Conflict("You have already decided on this document. Your first choice stands.")
    proposal = candidate.proposal
    document = proposal.document
    started = document.lease_started_at
    needed = document.project.reviews_needed
    # The row of the document is where two decisions meet: one of them finds it changed.
    held = Document.objects.filter(
        pk=document.pk, state=DocumentState.READY, lease_token=lease, lease_holder=reviewer
    )
    if not proposal.current or not held.update(
        reviews=F("reviews") + 1,
        state=Case(
            When(reviews__gte=needed - 1, then=Value(DocumentState.REVIEWED)),
            default=Value(DocumentState.READY),
        ),
        lease_token=None,
        lease_holder=None,
        lease_started_at=None,
        lease_expires_at=None,
    ):
        raise Conflict(_why_not(document, reviewer))
    now = timezone.now()
    milliseconds = int((now - (started or now)).total_seconds() * 1000)
    return Decision.objects.create(
        document=document,
        reviewer=reviewer,
        kind=DecisionKind.PICK,
        candidate=candidate,
        shown=[shown.rank for shown in proposal.shown_to(reviewer.pk)],
        milliseconds=min(max(milliseconds, 0), LONGEST),
        key=key,
    )


def _why_not(document: Document, reviewer: User) -> str:
    document.refresh_from_db()
    if document.decisions.filter(reviewer=reviewer).exists():
        return f"You have already decided on “{document}”. Your first choice stands."
    if document.state == DocumentState.REVIEWED:
        return f"“{document}” was finished by someone else meanwhile. Nothing was changed."
    if document.state != DocumentState.READY:
        return f"The model is reading “{document}” again. Nothing was changed."
    return f"“{document}” has gone to someone else meanwhile. Nothing was changed."

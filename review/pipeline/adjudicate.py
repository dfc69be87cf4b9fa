"""Where reviewers disagree, a curator settles: the settled set is final."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, Value, When
from django.utils.translation import gettext as _

from review.models import (
    Decision,
    DecisionKind,
    DecisionTag,
    Document,
    DocumentState,
    Purpose,
    Standing,
    Tag,
)

from .close import close, hold
from .refusal import Conflict, check_set


@transaction.atomic
def settle(curator: User, document: Document, key: uuid.UUID, tags: Sequence[Tag]) -> Decision:
    """Store the curator's set as the document's last word; without tags: that none fits.

    The same key again stores nothing new. Raises Conflict when the document is not disputed
    any more, and NotATagSet as a correction does.
    """
    if tags:
        check_set(document.project, tags)
    stored = _stored(curator, document, key)
    # Of two curators at once, one finds the row changed.
    disputed = Document.objects.filter(pk=document.pk, state=DocumentState.DISPUTED)
    if stored is None and not disputed.update(state=DocumentState.REVIEWED):
        stored = _stored(curator, document, key)
        if stored is None:
            told = _("“%(title)s” is not in dispute any more. Nothing was changed.")
            raise Conflict(told % {"title": document})
    if stored is not None:
        if set(stored.tags) != set(tags):
            raise Conflict(_("You have already settled this document. Your first choice stands."))
        return stored
    decision = Decision.objects.create(
        document=document,
        reviewer=curator,
        kind=DecisionKind.SETTLE,
        proposal=document.proposals.filter(current=True).first(),
        milliseconds=0,
        key=key,
    )
    DecisionTag.objects.bulk_create(
        DecisionTag(decision=decision, tag=tag, position=position)
        for position, tag in enumerate(tags, start=1)
    )
    Standing.objects.create(
        document=document, reviewer=curator, decision=decision, purpose=Purpose.FINAL
    )
    return decision


@transaction.atomic
def unsettle(curator: User, document: Document, key: uuid.UUID) -> None:
    """Take back what this curator settled: the reviews count again, and their dispute.

    Appends an undo; the same key again does nothing. Raises Conflict when there is nothing
    of theirs to take back.
    """
    if Decision.objects.filter(key=key, reviewer=curator, document=document).exists():
        return
    hold(document.pk)
    settled = Decision.objects.final().filter(document=document, reviewer=curator).first()
    if settled is None or not Standing.objects.filter(decision=settled).delete()[0]:
        raise Conflict(_("There is nothing of yours to take back here."))
    Decision.objects.create(
        document=document,
        reviewer=curator,
        kind=DecisionKind.UNDO,
        undoes=settled,
        milliseconds=0,
        key=key,
    )
    # Reviews may have been taken back, or more of them be needed by now.
    Document.objects.filter(pk=document.pk, state=DocumentState.REVIEWED).update(
        state=Case(
            When(reviews__lt=document.project.reviews_needed, then=Value(DocumentState.READY)),
            default=Value(DocumentState.REVIEWED),
        )
    )
    close(document)


def _stored(curator: User, document: Document, key: uuid.UUID) -> Decision | None:
    settled = Decision.objects.filter(kind=DecisionKind.SETTLE, reviewer=curator)
    return settled.filter(document=document, key=key).first()

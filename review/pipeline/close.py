"""A document with all its reviews is closed: reviewed, or disputed where their sets differ.

Sets are compared as sets, without their order; "none fits" is the empty one. What a curator has
settled is final: it stays reviewed, whatever becomes of its reviews.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef

from review.models import (
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    Project,
    Purpose,
    Standing,
)
from review.models.decision import REVIEWS, DecisionQuerySet
from review.models.document import FREE

AT_ONCE = 500  # documents closed in one transaction

# Done whatever its reviews: by a curator's word, or let through unseen.
SETTLED = Exists(
    Standing.objects.filter(document=OuterRef("pk"), purpose__in=[Purpose.FINAL, Purpose.MACHINE])
)


def hold(document: int) -> None:
    """Hold the document's row until the transaction ends. Whoever changes what stands on a
    document holds its row first: so of two none waits for the other while that one waits too.
    """
    list(Document.objects.select_for_update().filter(pk=document).values_list("pk"))


def close(document: Document) -> None:
    """After the last review of several: dispute the document if their sets differ.

    Within the deciding transaction, which has changed the document's row and so holds it.
    """
    if len(set(_reviews([document.pk]).tag_sets().values())) > 1:
        reviewed = Document.objects.filter(pk=document.pk, state=DocumentState.REVIEWED)
        reviewed.update(state=DocumentState.DISPUTED)


def reopen(document: Document) -> None:
    """After a review was taken back: open the document again, unless it is done without it.

    It is where a curator has settled it, and where enough reviews are left (fewer may be needed
    by now). A statement of its own, after the one that has locked the row: it sees what a
    curator has settled in the meantime.
    """
    needed = document.project.reviews_needed
    done = Document.objects.filter(
        ~SETTLED,
        pk=document.pk,
        state__in=[DocumentState.REVIEWED, DocumentState.DISPUTED],
    )
    done.filter(reviews__lt=needed).update(state=DocumentState.READY)
    if done.filter(reviews__gte=needed).update(state=DocumentState.REVIEWED):
        close(document)


def take_back_all(document: int, curator: User) -> bool:
    """Take back all that stands on the document: reviews, what a curator settled, and that it
    was let through unseen.

    Within a transaction that holds the document's row. False, for the caller to roll back, when
    one of them is being taken back by somebody else: it does not wait for them, who may wait for
    that row.
    """
    stands = Standing.objects.filter(document=document).exclude(
        purpose__in=[Purpose.REPEAT, Purpose.GOLD]
    )
    taken = list(stands.select_for_update(skip_locked=True))
    if len(taken) != stands.count():
        return False
    Standing.objects.filter(pk__in=[standing.pk for standing in taken]).delete()
    Decision.objects.bulk_create(
        Decision(
            document_id=document,
            reviewer=curator,
            kind=DecisionKind.UNDO,
            undoes_id=standing.decision_id,
            milliseconds=0,
            key=uuid.uuid4(),
        )
        for standing in taken
    )
    return True


def settle_counts(project: Project) -> tuple[int, int]:
    """Open or close documents by the reviews that are needed now; returns how many of each.

    After `reviews_needed` was raised or lowered, and by the sweeper each minute: a decision
    that raced with the change may have gone by the old number. It changes nothing where all is
    in order, and then costs five looks into the index `document_queue`, however many
    documents there are: naming the values of `pinned` lets it go by the number of reviews.
    """
    documents = project.documents.filter(pinned__in=[False, True])
    enough = documents.filter(state=DocumentState.READY, reviews__gte=project.reviews_needed)
    closed = enough.filter(reviews=1).update(state=DocumentState.REVIEWED, **FREE)
    for pinned in (True, False):
        # In the index's order: without it PostgreSQL may read all that are ready instead.
        several = enough.filter(pinned__in=[pinned], reviews__gt=1).order_by("reviews")
        while some := list(several.values_list("pk", flat=True)[:AT_ONCE]):
            closed += _close_several(some, project.reviews_needed)
    too_few = documents.filter(reviews__lt=project.reviews_needed)
    # Two statements: a curator may settle meanwhile, and the second must see it.
    opened = too_few.filter(state=DocumentState.DISPUTED).update(state=DocumentState.READY)
    # Without any review it is always settled, or let through unseen; these may be many.
    opened += too_few.filter(~SETTLED, state=DocumentState.REVIEWED, reviews__gt=0).update(
        state=DocumentState.READY
    )
    return opened, closed


@transaction.atomic
def _close_several(documents: list[int], needed: int) -> int:
    still = Document.objects.filter(
        pk__in=documents, state=DocumentState.READY, reviews__gte=needed
    )
    closed = still.update(state=DocumentState.REVIEWED, **FREE)
    reviewed = Document.objects.filter(pk__in=_disagreeing(documents), state=DocumentState.REVIEWED)
    reviewed.update(state=DocumentState.DISPUTED)
    return closed


def _reviews(documents: Iterable[int]) -> DecisionQuerySet:
    return Decision.objects.standing().filter(document__in=documents, kind__in=REVIEWS)


def _disagreeing(documents: Iterable[int]) -> set[int]:
    """Those of the documents whose reviews differ."""
    reviews = _reviews(documents)
    sets = reviews.tag_sets()
    first: dict[int, frozenset[int]] = {}
    found = set()
    for review, document in reviews.values_list("pk", "document"):
        if first.setdefault(document, sets[review]) != sets[review]:
            found.add(document)
    return found

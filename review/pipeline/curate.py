"""What a curator does to a selection of documents.

Each verb changes those that it fits, each by one conditional UPDATE, and says of the others why
not. A document that is in somebody's hands just now, a reviewer's or a worker's, is left alone:
only its place in the queue may change under them.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from review.models import (
    Document,
    DocumentState,
    Project,
    Proposal,
)
from review.models.document import FREE, DocumentQuerySet

from . import propose
from .close import SETTLED, settle_counts, take_back_all
from .intake import problem_of

State = DocumentState
REOPENED = (State.REVIEWED, State.DISPUTED, State.FAILED)
PROPOSED = Exists(Proposal.objects.filter(document=OuterRef("pk"), current=True))


class Why(enum.Enum):
    """Why a document was left as it is; the value is for a person, after a number."""

    IN_USE = _("in use just now")
    HAS_REVIEWS = _("with reviews: reopen first")
    NO_TEXT = _("without a text that the model can read")
    SO_ALREADY = _("so already")
    OTHER_STATE = _("in a state that this does not fit")


@dataclass
class Outcome:
    changed: int = 0
    left: Counter[Why] = field(default_factory=Counter)


def pin(documents: DocumentQuerySet) -> Outcome:
    """To the front of the queue."""
    return _set_pinned(documents, True)


def unpin(documents: DocumentQuerySet) -> Outcome:
    return _set_pinned(documents, False)


def ask_again(documents: DocumentQuerySet) -> Outcome:
    """Let the model read the failed and the ready ones once more: see propose.ask_again."""

    def why_not(document: Document) -> Why | None:
        if document.state == State.WAITING:
            return Why.SO_ALREADY
        if document.state in (State.REVIEWED, State.DISPUTED) or (
            document.state == State.READY and document.reviews
        ):
            return Why.HAS_REVIEWS
        return Why.OTHER_STATE if document.state == State.RETIRED else None

    fits, outcome = _choose(documents, why_not)
    failed = fits.filter(state=State.FAILED).only("text")
    unread = [document.pk for document in failed.iterator() if problem_of(document.text)]
    outcome.left[Why.NO_TEXT] += len(unread)
    mendable = fits.exclude(pk__in=unread)
    return _count(outcome, mendable.count(), propose.ask_again(mendable, ready=True))


def retire(documents: DocumentQuerySet) -> Outcome:
    """Out of all queues and exports. Decisions and proposals stay: `restore` finds them."""
    fits, outcome = _choose(
        documents, lambda document: Why.SO_ALREADY if document.state == State.RETIRED else None
    )
    free = fits.exclude(state__in=[State.RETIRED, State.PROPOSING]).unleased(timezone.now())
    return _count(outcome, fits.count(), free.update(state=State.RETIRED, **FREE))


def restore(documents: DocumentQuerySet) -> Outcome:
    """Retired ones go back to where their candidates and decisions say that they were."""
    fits, outcome = _choose(
        documents, lambda document: None if document.state == State.RETIRED else Why.OTHER_STATE
    )
    settled = set(fits.filter(SETTLED).values_list("pk", flat=True))
    proposed = set(fits.filter(PROPOSED).values_list("pk", flat=True)) - settled
    bare = fits.exclude(pk__in=settled | proposed).only("text")
    unread = {document.pk for document in bare.iterator() if problem_of(document.text)}
    waiting = set(fits.values_list("pk", flat=True)) - settled - proposed - unread
    changed = 0
    with transaction.atomic():
        for place, keys in [
            (State.REVIEWED, settled),
            (State.READY, proposed),
            (State.FAILED, unread),
            (State.WAITING, waiting),
        ]:
            back = Document.objects.filter(pk__in=keys, state=State.RETIRED)
            changed += back.update(state=place, attempts=0, troubles=0, not_before=None)
        for project in Project.objects.filter(pk__in=fits.values("project")):
            settle_counts(project)  # those that have their reviews are not ready but done
    return _count(outcome, len(settled | proposed | unread | waiting), changed)


def reopen(documents: DocumentQuerySet, curator: User) -> Outcome:
    """Take back every decision that stands on these, and let them be reviewed from the start.

    It fits the reviewed and the disputed, and the failed that have candidates from before.
    """

    def why_not(document: Document) -> Why | None:
        if document.state == State.READY and not document.reviews:
            return Why.SO_ALREADY
        return None if document.state in REOPENED else Why.OTHER_STATE

    fits, outcome = _choose(documents, why_not)
    keys = list(fits.filter(PROPOSED).values_list("pk", flat=True))
    outcome.left[Why.OTHER_STATE] += fits.count() - len(keys)
    return _count(outcome, len(keys), sum(_reopen(key, curator) for key in keys))


@transaction.atomic
def _reopen(key: int, curator: User) -> bool:
    closed = Document.objects.filter(pk=key, state__in=REOPENED).unleased(timezone.now())
    if not closed.update(state=State.READY, reviews=0, reason="", **FREE):
        return False
    if not take_back_all(key, curator):
        transaction.set_rollback(True)
        return False
    return True


def _set_pinned(documents: DocumentQuerySet, pinned: bool) -> Outcome:
    asked = documents.count()
    changed = documents.filter(pinned=not pinned).update(pinned=pinned)
    return Outcome(changed, Counter({Why.SO_ALREADY: asked - changed}))


def _choose(
    documents: DocumentQuerySet, why_not: Callable[[Document], Why | None]
) -> tuple[DocumentQuerySet, Outcome]:
    """Those of the documents that are free and that a verb fits, and of the others why not."""
    now = timezone.now()
    outcome = Outcome()
    keys = []
    for document in documents.only("state", "reviews", "lease_expires_at"):
        lease = document.lease_expires_at
        why = why_not(document)
        if document.state == State.PROPOSING or (lease is not None and lease > now):
            why = Why.IN_USE
        if why is None:
            keys.append(document.pk)
        else:
            outcome.left[why] += 1
    return Document.objects.filter(pk__in=keys), outcome


def _count(outcome: Outcome, tried: int, changed: int) -> Outcome:
    """What fitted a moment ago and then did not has come into somebody's hands meanwhile."""
    outcome.changed = changed
    outcome.left[Why.IN_USE] += tried - changed
    return outcome

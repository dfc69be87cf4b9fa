"""The repeat test: a few documents come back to the same person later, in another order.

Whether they decide alike says how far their decisions can be trusted. They are not told which
documents these are. A repeat counts for nothing else: it is no review and makes no pairs.

It is leased on its own, by its own row, and nobody but its reviewer can hold it: so the lease
does not expire, and a page that was lost is handed out again.
"""

from __future__ import annotations

import datetime
import random
import uuid

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from review.models import Decision, Document, DocumentState, Project, Proposal, Repeat
from review.models.document import FREE

REPEAT_AFTER = datetime.timedelta(minutes=20)  # at least: the first choice is out of mind by then
LOOKS = 2  # for a due repeat, for each that is made: so that those due do not pile up

# A document that has these may be shown; others are with the model, or put away.
SHOWN_IN = [DocumentState.READY, DocumentState.REVIEWED, DocumentState.DISPUTED]


def plan(review: Decision, project: Project) -> None:
    """Let the document of this share of reviews come back; drawn from the decision's key."""
    if review.proposal is None or review.proposal.candidate_count < 2:
        return  # there is no other order
    if _drawn(f"again:{review.key}") < project.repeat_share:
        due_at = timezone.now() + REPEAT_AFTER
        Repeat.objects.create(reviewer=review.reviewer, first=review, due_at=due_at)


def instead_of(
    document: Document | None,
    project: Project,
    reviewer: User,
    beside: uuid.UUID | None = None,
) -> Document | None:
    """The repeat to show instead of the document that was leased to them; None for most.

    That document is then given back. `beside` is the lease of what is on their page already.
    Looking costs a query, so it is looked for at few documents, drawn from their number; and
    whenever the queue has none.
    """
    looks = document is None or (
        _drawn(f"look:{reviewer.pk}:{document.pk}") < LOOKS * project.repeat_share
    )
    if not looks or not project.repeat_share:
        return None
    repeat = due(project, reviewer, beside)
    if repeat is None:
        return None
    if document is not None:
        held = Document.objects.filter(pk=document.pk, lease_token=document.lease_token)
        held.update(**FREE)
    return _handed(repeat)


def due(project: Project, reviewer: User, beside: uuid.UUID | None = None) -> Repeat | None:
    """The repeat that should be shown now, but for the one under the lease `beside`."""
    waiting = _open_to(reviewer).filter(
        due_at__lte=timezone.now(),
        first__proposal__current=True,
        first__document__project=project,
        first__document__state__in=SHOWN_IN,
    )
    if beside is not None:
        waiting = waiting.exclude(lease_token=beside)
    return waiting.order_by("due_at", "pk").first()


def held(reviewer: User, lease: uuid.UUID) -> Document | None:
    """The document of the repeat that they hold under this lease."""
    repeat = _open_to(reviewer).filter(lease_token=lease).first()
    return _as_leased(repeat) if repeat is not None else None


def take(reviewer: User, proposal: Proposal, lease: uuid.UUID) -> Repeat | None:
    """The repeat under this lease, which no other act gets then; None when there is none.

    Within the deciding transaction, which ends by `answer`.
    """
    if not proposal.current:
        return None
    repeat = _open_to(reviewer).filter(lease_token=lease, first__proposal=proposal).first()
    if repeat is None:
        return None
    # Of two acts at once, one finds the lease gone.
    taken = Repeat.objects.filter(pk=repeat.pk, lease_token=lease, second=None)
    return repeat if taken.update(lease_token=None) else None


def answer(repeat: Repeat, second: Decision) -> None:
    Repeat.objects.filter(pk=repeat.pk).update(second=second)


def give_again(second: Decision) -> Document:
    """Their answer was taken back: the document, to be decided once more."""
    repeat = Repeat.objects.select_related("first__document").get(second=second)
    Repeat.objects.filter(pk=repeat.pk).update(second=None)
    return _handed(repeat)


def _open_to(reviewer: User) -> QuerySet[Repeat]:
    """Those that they have not answered, and whose first decision they have not taken back."""
    waiting = Repeat.objects.filter(reviewer=reviewer, second=None, first__standing__isnull=False)
    return waiting.select_related("first__document").defer("first__document__text")


def _handed(repeat: Repeat) -> Document:
    """Under the lease that it has, so that a page of it that is still open counts as well."""
    repeat.lease_token = repeat.lease_token or uuid.uuid4()
    repeat.lease_started_at = timezone.now()
    Repeat.objects.filter(pk=repeat.pk, second=None).update(
        lease_token=repeat.lease_token, lease_started_at=repeat.lease_started_at
    )
    return _as_leased(repeat)


def _as_leased(repeat: Repeat) -> Document:
    """The document with the repeat's lease for its own: its row knows nothing of that one."""
    document = repeat.first.document
    document.lease_token = repeat.lease_token
    document.lease_holder_id = repeat.reviewer_id
    document.lease_started_at = repeat.lease_started_at
    document.again = True
    return document


def _drawn(seed: str) -> float:
    """A number from 0 to 1, always the same one for the same seed."""
    return random.Random(seed).random()  # noqa: S311 -- a fair draw, not a secret

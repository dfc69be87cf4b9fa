"""A reviewer's act becomes a decision: once, for good, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from review import story
from review.models import (
    Candidate,
    Decision,
    DecisionKind,
    DecisionTag,
    Document,
    DocumentState,
    GoldTurn,
    Project,
    Proposal,
    Purpose,
    Repeat,
    SkipReason,
    Standing,
    Tag,
)
from review.models.decision import REVIEWS

from . import gold, repeat
from .close import close, hold, reopen
from .queue import hold_beside, lease_to, stored_uuid
from .refusal import Conflict, check_set

LONGEST = 24 * 60 * 60 * 1000  # milliseconds; a page left open overnight says nothing more
MOST_UNDONE = 20  # how far back a reviewer can go


# Plain SQL, because every pick waits for it.
TAKE = """
UPDATE review_document
SET lease_token = NULL, lease_holder_id = NULL, lease_started_at = NULL, lease_expires_at = NULL,
    reviews = reviews + %(counts)s,
    state = CASE WHEN reviews + %(counts)s >= %(needed)s THEN 'reviewed' ELSE 'ready' END
WHERE id = %(document)s AND state = 'ready'
  AND lease_token = %(lease)s AND lease_holder_id = %(reviewer)s
RETURNING reviews
"""


@dataclass(frozen=True)
class Page:
    """The page that a reviewer acts from: who, on which proposal, holding which lease.

    key: the same for a repeated POST, another for another page.
    """

    reviewer: User
    proposal: Proposal
    lease: uuid.UUID
    key: uuid.UUID


def pick(page: Page, candidate: Candidate) -> Decision:
    """Store that the candidate fits best. Raises Conflict, as all of these do.

    A lease that has run out still counts while nobody else has taken the document.
    """
    return _decide(page, DecisionKind.PICK, candidate=candidate)


def correct(page: Page, tags: Sequence[Tag]) -> Decision:
    """Store a set of the reviewer's own, in its order. A set that was on the page is a pick.

    Raises NotATagSet for none, too many, a repeat, or a tag that is not to be used any more.
    """
    check_set(page.proposal.document.project, tags)
    for candidate in page.proposal.candidates.prefetch_related("placed_tags__tag"):
        if set(candidate.tags) == set(tags):
            return _decide(page, DecisionKind.PICK, candidate=candidate)
    return _decide(page, DecisionKind.CORRECT, tags=tags)


def none_fits(page: Page, note: str = "") -> Decision:
    """Store that no candidate fits, and that the reviewer knows no set that does."""
    return _decide(page, DecisionKind.NONE, note=note)


def skip(page: Page, reason: SkipReason, note: str = "") -> Decision:
    """Leave the document to others; this reviewer is not shown it again."""
    return _decide(page, DecisionKind.SKIP, skip_reason=reason, note=note)


@transaction.atomic
def _decide(page: Page, kind: DecisionKind, tags: Sequence[Tag] = (), **what: object) -> Decision:
    document = page.proposal.document
    test: Repeat | GoldTurn | None = None
    # The row of the document is where two decisions meet: one of them finds it changed.
    reviews = _take(page, counts=kind in REVIEWS)
    if reviews is None:
        # A repeated POST ends here too: the first one has given the lease back.
        stored = Decision.objects.filter(key=page.key).first()
        if stored is not None:
            return _same(stored, page, kind, what.get("candidate"))
        test = repeat.take(page.reviewer, page.proposal, page.lease)
        test = test or gold.take(page.reviewer, page.proposal, page.lease)
        if test is None:
            raise Conflict(_why_not(document, page.reviewer))
    decision = Decision.objects.create(
        document=document,
        reviewer=page.reviewer,
        kind=kind,
        proposal=page.proposal,
        shown=page.proposal.order_for(page.reviewer.pk, again=isinstance(test, Repeat)),
        milliseconds=_since(test or document),
        key=page.key,
        **what,
    )
    if tags:
        DecisionTag.objects.bulk_create(
            DecisionTag(decision=decision, tag=tag, position=position)
            for position, tag in enumerate(tags, start=1)
        )
    Standing.objects.create(
        document=document,
        reviewer=page.reviewer,
        decision=decision,
        purpose=_purpose(test),
    )
    if isinstance(test, Repeat):
        repeat.answer(test, decision)
    elif isinstance(test, GoldTurn):
        gold.answer(test, decision)
    elif kind in REVIEWS:
        repeat.plan(decision, document.project)
        if reviews is not None and reviews >= max(2, document.project.reviews_needed):
            close(document)
    _tell(decision)
    return decision


def _purpose(test: Repeat | GoldTurn | None) -> Purpose:
    if test is None:
        return Purpose.REVIEW
    return Purpose.REPEAT if isinstance(test, Repeat) else Purpose.GOLD


def _take(page: Page, counts: bool) -> int | None:
    """Give the lease back together with the review; returns the document's reviews now.

    None, and no change, when the lease is lost or the proposal is not current any more.
    """
    if not page.proposal.current:
        return None
    values = {
        "counts": int(counts),
        "needed": page.proposal.document.project.reviews_needed,
        "document": page.proposal.document_id,
        "lease": stored_uuid(page.lease),
        "reviewer": page.reviewer.pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE, values)
        rows = cursor.fetchall()
    return int(rows[0][0]) if rows else None


def _same(stored: Decision, page: Page, kind: DecisionKind, candidate: object) -> Decision:
    """The decision under this key, when the POST is the same one again."""
    if (stored.reviewer, stored.proposal, stored.kind) == (page.reviewer, page.proposal, kind) and (
        stored.candidate == candidate
    ):
        return stored
    raise Conflict(_("You have already decided on this document. Your first choice stands."))


@transaction.atomic
def undo(
    reviewer: User, project: Project, key: uuid.UUID, page: uuid.UUID | None = None
) -> Decision | None:
    """Take back the reviewer's last decision that stands; returns the decision taken back.

    Its document is open again, and leased to them unless somebody else holds it by now; one
    that a curator has settled stays so. None when there is nothing to take back: no decision
    stands among the last 20. What they settled as a curator is not taken back here. Undoing
    appends: the decision stays, and the next export knows that it does not count. `page` is
    the lease of the document on the page: that one comes next.
    """
    repeated = Decision.objects.filter(key=key, reviewer=reviewer).first()
    if repeated is not None:
        return repeated.undoes
    recent = Decision.objects.filter(
        reviewer=reviewer, document__project=project, undoes=None
    ).exclude(kind=DecisionKind.SETTLE)
    last = recent.select_related("standing").order_by("-pk")[:MOST_UNDONE]
    target = next((decision for decision in last if hasattr(decision, "standing")), None)
    if target is None:
        return None
    hold(target.document_id)
    # Of two undos at once, one deletes the row.
    if not Standing.objects.filter(decision=target).delete()[0]:
        return None
    purpose = target.standing.purpose
    if target.kind in REVIEWS and purpose == Purpose.REVIEW:
        Document.objects.filter(pk=target.document_id).update(reviews=F("reviews") - 1)
        reopen(target.document)
    taken_back = Decision.objects.create(
        document=target.document,
        reviewer=reviewer,
        kind=DecisionKind.UNDO,
        undoes=target,
        milliseconds=0,
        key=key,
    )
    _tell(taken_back)
    if purpose == Purpose.REPEAT:
        target.document = repeat.give_again(target)
    elif purpose == Purpose.GOLD:
        target.document = gold.give_again(target)
    else:
        lease_to(target.document_id, reviewer)
        target.document.refresh_from_db()
    hold_beside(target.document_id, page or key, project, reviewer)
    return target


def _tell(decision: Decision) -> None:
    """In the document's story, once it is for good."""
    more = {"decision": decision.pk, "reviewer": decision.reviewer_id}
    transaction.on_commit(lambda: story.tell(str(decision.kind), decision.document_id, **more))


def _since(held: Document | Repeat | GoldTurn) -> int:
    """Milliseconds from the first sight of the document; read before its lease was given back."""
    started = held.lease_started_at or timezone.now()
    passed = int((timezone.now() - started).total_seconds() * 1000)
    return min(max(passed, 0), LONGEST)


def _why_not(document: Document, reviewer: User) -> str:
    document.refresh_from_db()
    if Standing.objects.filter(document=document, reviewer=reviewer).exists():
        told = _("You have already decided on “%(title)s”. Your first choice stands.")
    elif document.state in (DocumentState.REVIEWED, DocumentState.DISPUTED):
        told = _("“%(title)s” was finished by someone else meanwhile. Nothing was changed.")
    elif document.state != DocumentState.READY:
        told = _("The model is reading “%(title)s” again. Nothing was changed.")
    else:
        told = _("“%(title)s” has gone to someone else meanwhile. Nothing was changed.")
    return told % {"title": document}

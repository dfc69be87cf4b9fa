"""A reviewer's act becomes a decision: once, for good, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, F, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from review.models import (
    Candidate,
    Decision,
    DecisionKind,
    DecisionTag,
    Document,
    DocumentState,
    Project,
    Proposal,
    SkipReason,
    Standing,
    Tag,
)
from review.models.decision import REVIEWS
from review.models.document import FREE

from .queue import lease_to

LONGEST = 24 * 60 * 60 * 1000  # milliseconds; a page left open overnight says nothing more
MOST_UNDONE = 20  # how far back a reviewer can go


class Conflict(Exception):
    """The act does not fit the document as it now is; nothing was changed. Says why."""


class NotATagSet(ValueError):
    """The corrected set cannot be one; says why. Nothing was changed."""


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
    project = page.proposal.document.project
    if not 1 <= len(tags) <= project.max_tags:
        told = _("A document gets 1 to %(most)d tags, not %(given)d.")
        raise NotATagSet(told % {"most": project.max_tags, "given": len(tags)})
    if len(set(tags)) != len(tags):
        raise NotATagSet(_("A tag can be given once."))
    for tag in tags:
        if tag.project_id != project.pk or tag.retired_at or tag.merged_into_id:
            raise NotATagSet(_("“%(tag)s” is not in the vocabulary any more.") % {"tag": tag})
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
    changes: dict[str, object] = {}
    if kind in REVIEWS:
        needed = document.project.reviews_needed
        changes["reviews"] = F("reviews") + 1
        changes["state"] = Case(
            When(reviews__gte=needed - 1, then=Value(DocumentState.REVIEWED)),
            default=Value(DocumentState.READY),
        )
    # The row of the document is where two decisions meet: one of them finds it changed.
    held = Document.objects.filter(
        pk=document.pk,
        state=DocumentState.READY,
        lease_token=page.lease,
        lease_holder=page.reviewer,
    )
    if not page.proposal.current or not held.update(**FREE, **changes):
        # A repeated POST ends here too: the first one has given the lease back.
        stored = Decision.objects.filter(key=page.key).first()
        if stored is not None:
            return _same(stored, page, kind, what.get("candidate"))
        raise Conflict(_why_not(document, page.reviewer))
    decision = Decision.objects.create(
        document=document,
        reviewer=page.reviewer,
        kind=kind,
        proposal=page.proposal,
        shown=page.proposal.order_for(page.reviewer.pk),
        milliseconds=_since(document),
        key=page.key,
        **what,
    )
    if tags:
        DecisionTag.objects.bulk_create(
            DecisionTag(decision=decision, tag=tag, position=position)
            for position, tag in enumerate(tags, start=1)
        )
    Standing.objects.create(document=document, reviewer=page.reviewer, decision=decision)
    return decision


def _same(stored: Decision, page: Page, kind: DecisionKind, candidate: object) -> Decision:
    """The decision under this key, when the POST is the same one again."""
    if (stored.reviewer, stored.proposal, stored.kind) == (page.reviewer, page.proposal, kind) and (
        stored.candidate == candidate
    ):
        return stored
    raise Conflict(_("You have already decided on this document. Your first choice stands."))


@transaction.atomic
def undo(reviewer: User, project: Project, key: uuid.UUID) -> Decision | None:
    """Take back the reviewer's last decision that stands; returns the decision taken back.

    Its document is open again, and leased to them unless somebody else holds it by now. None
    when there is nothing to take back: no decision stands among the last 20. Undoing
    appends: the decision stays, and the next export knows that it does not count.
    """
    repeated = Decision.objects.filter(key=key, reviewer=reviewer).first()
    if repeated is not None:
        return repeated.undoes
    recent = Decision.objects.filter(
        reviewer=reviewer, document__project=project, undoes=None
    ).select_related("standing")
    last = recent.order_by("-pk")[:MOST_UNDONE]
    target = next((decision for decision in last if hasattr(decision, "standing")), None)
    # Of two undos at once, one deletes the row.
    if target is None or not Standing.objects.filter(decision=target).delete()[0]:
        return None
    documents = Document.objects.filter(pk=target.document_id)
    if target.kind in REVIEWS:
        documents.update(
            reviews=F("reviews") - 1,
            state=Case(
                When(state=DocumentState.REVIEWED, then=Value(DocumentState.READY)),
                default=F("state"),
            ),
        )
    Decision.objects.create(
        document=target.document,
        reviewer=reviewer,
        kind=DecisionKind.UNDO,
        undoes=target,
        milliseconds=0,
        key=key,
    )
    lease_to(target.document_id, reviewer)
    target.document.refresh_from_db()
    return target


def _since(document: Document) -> int:
    """Milliseconds from the first sight of the document; read before its lease was given back."""
    started = document.lease_started_at or timezone.now()
    passed = int((timezone.now() - started).total_seconds() * 1000)
    return min(max(passed, 0), LONGEST)


def _why_not(document: Document, reviewer: User) -> str:
    document.refresh_from_db()
    if Standing.objects.filter(document=document, reviewer=reviewer).exists():
        told = _("You have already decided on “%(title)s”. Your first choice stands.")
    elif document.state == DocumentState.REVIEWED:
        told = _("“%(title)s” was finished by someone else meanwhile. Nothing was changed.")
    elif document.state != DocumentState.READY:
        told = _("The model is reading “%(title)s” again. Nothing was changed.")
    else:
        told = _("“%(title)s” has gone to someone else meanwhile. Nothing was changed.")
    return told % {"title": document}

"""A document that the model is sure enough of is let through unseen, or kept for the audit.

It becomes reviewed by a decision of the account MACHINE, whose standing says that nobody has
reviewed it. The audit's share stays in the queue like any other document, and nobody there is
told which these are.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from review.insight.confidence import keeping
from review.models import (
    Acceptance,
    AutoAccept,
    Calibration,
    Candidate,
    CandidateTag,
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    Proposal,
    Purpose,
    Standing,
)
from review.models.decision import MACHINE
from review.models.document import FREE, DocumentQuerySet

from .calibrate import confidence, current, curve_of


def judge(
    calibration: Calibration | None,
    proposal: Proposal,
    candidates: Sequence[Sequence[str]],
    vocabulary: Sequence[str],
) -> float | None:
    """The confidence of the first candidate; None while too few documents were decided on."""
    if calibration is None or not candidates:
        return None
    return confidence(calibration, proposal, candidates, vocabulary)


def consider(proposal: Proposal, confident: float | None) -> Acceptance | None:
    """Let the proposal's document through, or keep it for the audit, if that is called for.

    It is where the project's switch is on, and the confidence above its threshold. What
    somebody holds, has reviewed or skipped, or wants first is left to people; so is what was
    considered before, and a set with a tag that is not to be given any more.
    """
    if confident is None:
        return None
    project = proposal.document.project
    auto = AutoAccept.objects.filter(project=project, off_at=None).first()
    if auto is None or confident < threshold(auto, proposal):
        return None
    if Acceptance.objects.filter(proposal=proposal).exists():
        return None
    first = Candidate.objects.get(proposal=proposal, rank=1)
    if CandidateTag.objects.filter(candidate=first, tag__retired_at__isnull=False).exists():
        return None
    if is_audited(proposal, auto.audit_share):
        if not _untouched(proposal).exists():
            return None
        return _note(proposal, waiting=True)
    with transaction.atomic():
        # Of this and a reviewer's claim, one finds the row changed.
        if not _untouched(proposal).update(state=DocumentState.REVIEWED, **FREE):
            return None
        # A statement of its own, after the one that has locked the document's row: whoever
        # puts another proposal in this one's place has changed that row.
        if not Proposal.objects.filter(pk=proposal.pk, current=True).exists():
            transaction.set_rollback(True)
            return None
        machine = account()
        decision = Decision.objects.create(
            document=proposal.document,
            reviewer=machine,
            kind=DecisionKind.PICK,
            proposal=proposal,
            candidate=first,
            milliseconds=0,
            key=uuid.uuid4(),
        )
        Standing.objects.create(
            document=proposal.document,
            reviewer=machine,
            decision=decision,
            purpose=Purpose.MACHINE,
        )
        return _note(proposal, decision=decision)


def threshold(auto: AutoAccept, proposal: Proposal) -> float:
    """The lowest confidence that keeps the promise; one that none has, where none keeps it."""
    calibration = current(auto.project, proposal.model, proposal.prompt_version)
    kept = keeping(curve_of(calibration), auto.promise) if calibration else None
    return kept.threshold if kept else 2.0


def is_audited(proposal: Proposal, share: float) -> bool:
    """Whether it is one of this share; always the same answer for the same proposal."""
    draw = random.Random(f"audit:{proposal.pk}")  # noqa: S311 -- a fair draw, not a secret
    return draw.random() < share


def account() -> User:
    """In whose name documents are let through. Nobody can sign in as it."""
    locked = {"is_active": False, "password": make_password(None)}
    return User.objects.get_or_create(username=MACHINE, defaults=locked)[0]


def _untouched(proposal: Proposal) -> DocumentQuerySet:
    """The document, if it waits for reviewers and none of them has had to do with it."""
    known = Standing.objects.filter(document=OuterRef("pk"))
    ready = Document.objects.filter(
        ~Exists(known),
        pk=proposal.document_id,
        state=DocumentState.READY,
        reviews=0,
        pinned=False,
    )
    return ready.unleased(timezone.now())


def _note(
    proposal: Proposal, decision: Decision | None = None, waiting: bool = False
) -> Acceptance:
    what = {
        "project": proposal.document.project,
        "document": proposal.document,
        "decision": decision,
        "waiting": waiting,
    }
    return Acceptance.objects.get_or_create(proposal=proposal, defaults=what)[0]

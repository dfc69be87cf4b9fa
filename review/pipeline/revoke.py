"""An owner revokes what a reviewer has decided in a project, all of it; or takes that back.

What is revoked does not stand any more: it makes no tags, no pairs, no examples and no figures,
and its documents are opened again where too few reviews are left. The decisions stay as they
are, and the act beside them says who revoked them, when, and why. Done a document at a time,
at once as far as time allows and then by the sweeper: picks go on meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, F, QuerySet
from django.utils.translation import gettext as _

from review.insight.confidence import FEWEST
from review.models import (
    Calibration,
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    GoldTurn,
    Project,
    Purpose,
    Repeat,
    Revocation,
    RevocationVerb,
    Standing,
)
from review.models.decision import MACHINE, REVIEWS
from review.models.document import FREE
from review.models.revocation import LONGEST_REASON

from . import calibrate
from .close import SETTLED, close, hold, reopen
from .refusal import Conflict

AT_ONCE = 200  # documents looked up at once
AT_FIRST = 5.0  # seconds, while the owner waits

news = logging.getLogger("tagger")


@dataclass(frozen=True)
class Reviewer:
    """Somebody who has decided in the project. act: the last one on them, if there was any."""

    user: User
    standing: int
    act: Revocation | None

    @property
    def revoked(self) -> bool:
        return self.act is not None and self.act.verb == RevocationVerb.REVOKE


def reviewers(project: Project) -> list[Reviewer]:
    """Whoever has decided here, members or not any more, by name."""
    stands = Standing.objects.filter(document__project=project).order_by()
    counts = dict(stands.values_list("reviewer").annotate(Count("pk")))
    acts = {act.reviewer_id: act for act in project.revocations.select_related("by").order_by("pk")}
    users = User.objects.filter(pk__in={*counts, *acts}).exclude(username=MACHINE)
    return [
        Reviewer(user, counts.get(user.pk, 0), acts.get(user.pk))
        for user in users.order_by("username")
    ]


def revoke(project: Project, reviewer: User, reason: str, by: User | None = None) -> Revocation:
    """Let none of their decisions here count any more. Raises Conflict where that cannot be."""
    return _act(project, reviewer, RevocationVerb.REVOKE, reason, by)


def restore(project: Project, reviewer: User, reason: str, by: User | None = None) -> Revocation:
    """Let them count again, but where they or a curator have decided anew since."""
    return _act(project, reviewer, RevocationVerb.RESTORE, reason, by)


def _act(
    project: Project, reviewer: User, verb: RevocationVerb, reason: str, by: User | None
) -> Revocation:
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        told = _("Say why, in at most %(most)d characters: it stays with the act.")
        raise Conflict(told % {"most": LONGEST_REASON})
    if reviewer.username == MACHINE:
        raise Conflict(_("These were let through unseen: send them back under Auto-accept."))
    decided = Decision.objects.filter(document__project=project, reviewer=reviewer)
    if not decided.exists():
        raise Conflict(_("They have decided on nothing here."))
    with transaction.atomic():
        list(
            Project.objects.select_for_update().filter(pk=project.pk)
        )  # of two, one after the other
        last = project.revocations.filter(reviewer=reviewer).order_by("-pk").first()
        revoked = last is not None and last.verb == RevocationVerb.REVOKE
        if revoked == (verb == RevocationVerb.REVOKE):
            raise Conflict(
                _("Their decisions are revoked already.")
                if revoked
                else _("Their decisions are not revoked.")
            )
        act = Revocation.objects.create(
            project=project, reviewer=reviewer, verb=verb, reason=reason, by=by
        )
    news.info("%s: the decisions of account %d: %s.", project, reviewer.pk, verb)
    go_on(AT_FIRST)
    act.refresh_from_db()
    return act


def go_on(seconds: float) -> None:
    """Do what acts are waiting for, in their order. What is not done in time is done later."""
    until = time.monotonic() + seconds
    waiting = Revocation.objects.filter(waiting=True).order_by("pk")
    for act in waiting.select_related("project", "reviewer"):
        if not _work(act, until):
            break


def _work(act: Revocation, until: float) -> bool:
    """Whether it is done. Two at once do the same work once."""
    do = _revoke_on if act.verb == RevocationVerb.REVOKE else _restore_on
    while documents := _to_do(act):
        for document in documents:
            changed = do(document, act.reviewer)
            mine = Revocation.objects.filter(pk=act.pk)
            mine.update(reached=document.pk, documents=F("documents") + int(changed))
            if time.monotonic() > until:
                return False
        act.reached = documents[-1].pk
    _learn_again(act.project)
    Revocation.objects.filter(pk=act.pk).update(waiting=False)
    return True


def _to_do(act: Revocation) -> list[Document]:
    """The next documents that it changes something about."""
    if act.verb == RevocationVerb.REVOKE:
        rows: QuerySet[Standing] | QuerySet[Decision] = Standing.objects.filter(
            reviewer=act.reviewer
        )
    else:
        rows = _silent(act.reviewer)
    keys = (
        rows.filter(document__project=act.project, document__gt=act.reached)
        .order_by("document")
        .values_list("document", flat=True)
        .distinct()[:AT_ONCE]
    )
    return list(Document.objects.filter(pk__in=list(keys)).select_related("project").order_by("pk"))


def _silent(reviewer: User) -> QuerySet[Decision]:
    """What they decided and did not take back, and what does not stand."""
    decided = Decision.objects.filter(reviewer=reviewer, undone_by=None, standing=None)
    return decided.exclude(kind=DecisionKind.UNDO)


@transaction.atomic
def _revoke_on(document: Document, reviewer: User) -> bool:
    hold(document.pk)
    stands = Standing.objects.filter(document=document, reviewer=reviewer)
    reviews = stands.filter(purpose=Purpose.REVIEW, decision__kind__in=REVIEWS).count()
    if not stands.delete()[0]:
        return False
    Document.objects.filter(pk=document.pk).update(reviews=F("reviews") - reviews)
    reopen(document)
    return True


@transaction.atomic
def _restore_on(document: Document, reviewer: User) -> bool:
    """Of several the latest: after they were revoked they may have decided again."""
    hold(document.pk)
    taken = set(
        Standing.objects.filter(document=document, reviewer=reviewer).values_list(
            "purpose", flat=True
        )
    )
    if Standing.objects.filter(document=document, purpose=Purpose.FINAL).exists():
        taken.add(Purpose.FINAL)
    changed = False
    for decision in _silent(reviewer).filter(document=document).order_by("-pk"):
        purpose = _purpose(decision)
        if purpose in taken:
            continue
        taken.add(purpose)
        changed = True
        Standing.objects.create(
            document=document, reviewer=reviewer, decision=decision, purpose=purpose
        )
        if purpose == Purpose.REVIEW and decision.kind in REVIEWS:
            Document.objects.filter(pk=document.pk).update(reviews=F("reviews") + 1)
    if changed:
        _close_again(document)
    return changed


def _purpose(decision: Decision) -> Purpose:
    if decision.kind == DecisionKind.SETTLE:
        return Purpose.FINAL
    if Repeat.objects.filter(second=decision).exists():
        return Purpose.REPEAT
    if GoldTurn.objects.filter(decision=decision).exists():
        return Purpose.GOLD
    return Purpose.REVIEW


def _close_again(document: Document) -> None:
    """Done, where a curator's word or enough reviews are back; disputed where these differ."""
    there = Document.objects.filter(pk=document.pk)
    opened = there.filter(state__in=[DocumentState.READY, DocumentState.DISPUTED])
    opened.filter(SETTLED).update(state=DocumentState.REVIEWED, **FREE)
    enough = there.filter(~SETTLED, reviews__gte=document.project.reviews_needed)
    enough.filter(state=DocumentState.READY).update(state=DocumentState.REVIEWED, **FREE)
    if enough.filter(state=DocumentState.REVIEWED).exists():
        close(document)


def _learn_again(project: Project) -> None:
    """How confident models may be was learned from these decisions as well."""
    reviews = calibrate.reviews_by_model(project)
    for model, prompt_version in _calibrated(project):
        its = reviews.get((model, prompt_version), [])
        if len(its) >= FEWEST:
            calibrate.calibrate(project, model, prompt_version, its)
        else:
            old = Calibration.objects.filter(
                project=project, model=model, prompt_version=prompt_version
            )
            old.delete()


def _calibrated(project: Project) -> Iterable[tuple[str, str]]:
    found = Calibration.objects.filter(project=project).order_by()
    return found.values_list("model", "prompt_version").distinct()

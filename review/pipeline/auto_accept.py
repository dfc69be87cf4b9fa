"""The switch that lets documents through unseen: turned by an owner, and off by the audit."""

from __future__ import annotations

import logging
import time

from django.contrib.auth.models import User
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from review.insight.audit import audit
from review.models import (
    Acceptance,
    AutoAccept,
    Calibration,
    Candidate,
    Document,
    DocumentState,
    OffReason,
    Project,
    Proposal,
    Purpose,
)
from review.models.document import DocumentQuerySet

from . import curate
from .accept import consider
from .calibrate import confidence, is_current, read_with_sets, sets_of, since_of
from .refusal import Conflict

AT_ONCE = 500  # proposals that are told their confidence, and documents that are sent back

news = logging.getLogger("tagger")


def switch_on(project: Project, promise: float, owner: User) -> AutoAccept:
    """From now on let through what keeps the promise, of what waits for reviewers as well.

    The audit begins anew. Raises Conflict while what was let through is still being sent back.
    """
    if AutoAccept.objects.filter(project=project, send_back_by__isnull=False).exists():
        raise Conflict(_("What was let through is still being sent back. Try again in a minute."))
    now_on = {"promise": promise, "on_at": timezone.now(), "on_by": owner, "off_at": None}
    now_on |= {"off_reason": "", "audited": 0, "agreed": 0}
    auto, _created = AutoAccept.objects.update_or_create(project=project, defaults=now_on)
    latest = project.calibrations.values("model", "prompt_version").annotate(last=Max("pk"))
    Calibration.objects.filter(pk__in=[row["last"] for row in latest]).update(told_to=0)
    return auto


def switch_off(auto: AutoAccept) -> None:
    """What was let through stays so."""
    AutoAccept.objects.filter(pk=auto.pk, off_at=None).update(
        off_at=timezone.now(), off_reason=OffReason.HAND
    )


def check() -> None:
    """By the sweeper: switch off whatever the audit has found to break its promise."""
    done = Acceptance.objects.filter(waiting=True).exclude(document__state=DocumentState.READY)
    done.update(waiting=False)
    for auto in AutoAccept.objects.filter(off_at=None).select_related("project"):
        found = audit(auto)
        if not found.breaks(auto.promise):
            continue
        # Unless an owner has turned it meanwhile: then the audit has begun anew.
        same = AutoAccept.objects.filter(pk=auto.pk, off_at=None, on_at=auto.on_at)
        if same.update(
            off_at=timezone.now(),
            off_reason=OffReason.AUDIT,
            audited=found.audited,
            agreed=found.agreed,
        ):
            news.warning(
                "%s: documents are no longer let through unseen. Of %d audited %d were right.",
                auto.project,
                found.audited,
                found.agreed,
            )


def tell_waiting(seconds: float) -> None:
    """By the sweeper: tell documents that wait for reviewers their confidence, for so long.

    After a calibration was learned, since theirs is of an older one or of none, and after the
    switch was turned on. What is then above the threshold is let through.
    """
    end = time.monotonic() + seconds
    unfinished = Calibration.objects.filter(told_to__isnull=False).select_related("project")
    while time.monotonic() < end and (calibration := unfinished.order_by("pk").first()):
        _tell_some(calibration)


def _tell_some(calibration: Calibration) -> None:
    if not is_current(calibration):  # the model is asked otherwise now
        Calibration.objects.filter(pk=calibration.pk).update(told_to=None)
        return
    since = since_of(calibration.model)
    waiting = Proposal.objects.filter(
        current=True,
        model=calibration.model,
        rival_model="",
        prompt_version=calibration.prompt_version,
        document__project=calibration.project,
        document__state=DocumentState.READY,
        pk__gt=calibration.told_to,
    ).select_related("document")
    if since is not None:
        waiting = waiting.filter(created_at__gte=since)
    proposals = list(read_with_sets(waiting).order_by("pk")[:AT_ONCE])
    sure: list[tuple[Proposal, float]] = []
    told = []
    for proposal in proposals:
        proposal.document.project = calibration.project
        names = {tag["id"]: tag["name"] for tag in proposal.vocabulary_version.tags}
        sets = sets_of(proposal, names)
        first = next((one for one in proposal.candidates.all() if one.rank == 1), None)
        if first is None:
            continue
        confident = confidence(calibration, proposal, sets, list(names.values()))
        if confident is None:
            continue
        first.confidence = confident
        told.append(first)
        sure.append((proposal, confident))
    Candidate.objects.bulk_update(told, ["confidence"])
    for proposal, confident in sure:
        consider(proposal, confident)
    last = proposals[-1].pk if len(proposals) == AT_ONCE else None
    # Of two at once one finds it moved; what it did was for the same documents.
    same = Calibration.objects.filter(pk=calibration.pk, told_to=calibration.told_to)
    same.update(told_to=last)


def let_through(auto: AutoAccept) -> DocumentQuerySet:
    """What was let through since the switch was last turned on, and stands so."""
    mine = Acceptance.objects.filter(
        project=auto.project,
        created_at__gte=auto.on_at,
        decision__standing__purpose=Purpose.MACHINE,
    )
    return Document.objects.filter(pk__in=mine.values("document"), state=DocumentState.REVIEWED)


def send_back(auto: AutoAccept, owner: User) -> None:
    """Let people review what was let through, all of it. Done at once, or by the sweeper soon.

    Raises Conflict while the switch is on.
    """
    if not AutoAccept.objects.filter(pk=auto.pk, off_at__isnull=False).update(send_back_by=owner):
        raise Conflict(_("Switch it off first."))
    send_some_back()


def send_some_back() -> None:
    asked = AutoAccept.objects.filter(send_back_by__isnull=False)
    for auto in asked.select_related("project", "send_back_by"):
        keys = list(let_through(auto).values_list("pk", flat=True)[:AT_ONCE])
        if keys and auto.send_back_by:
            curate.reopen(Document.objects.filter(pk__in=keys), auto.send_back_by)
        if len(keys) < AT_ONCE and not let_through(auto).exists():
            AutoAccept.objects.filter(pk=auto.pk).update(send_back_by=None)

"""The review desk: the next document, and what a reviewer does with it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django_htmx.middleware import HtmxDetails

from review.models import Decision, Document, Project, SkipReason, Tag
from review.pipeline import progress
from review.pipeline.decide import (
    Conflict,
    NotATagSet,
    Page,
    correct,
    none_fits,
    pick,
    skip,
    undo,
)
from review.pipeline.queue import claim_next, held_by
from review.pipeline.render import is_cut
from review.pipeline.render import shown as html_of

from .access import candidate_for, project_of, proposal_for, signed_in
from .shown import shown_candidates


class HtmxHttpRequest(HttpRequest):
    """A request after django-htmx's middleware."""

    htmx: HtmxDetails


@require_safe
@login_required
@never_cache
def queue(request: HtmxHttpRequest) -> HttpResponse:
    user = signed_in(request)
    project = project_of(user)
    return desk(request, project, claim_next(project, user))


@require_safe
@login_required
@never_cache
def following(request: HtmxHttpRequest) -> HttpResponse:
    """The document that will come after the one on the page, leased already; 204 without one."""
    user = signed_in(request)
    project = project_of(user)
    after = request.GET.get("after", "")
    document = claim_next(project, user, after=int(after) if after.isdecimal() else None)
    if document is None:
        return HttpResponse(status=204)
    return desk(request, project, document)


@require_POST
@login_required
@never_cache
def choose(request: HtmxHttpRequest, candidate_id: int) -> HttpResponse:
    user = signed_in(request)
    candidate = candidate_for(user, candidate_id)
    page = Page(user, candidate.proposal, *lease_and_key(request))
    return act(request, page, lambda: pick(page, candidate))


@require_POST
@login_required
@never_cache
def give(request: HtmxHttpRequest, proposal_id: int) -> HttpResponse:
    """A set of the reviewer's own."""
    page = page_of(request, proposal_id)
    numbers = [number for number in request.POST.getlist("tags") if number.isdecimal()]
    tags = {tag.number: tag for tag in Tag.objects.filter(project=project_on(page))}
    chosen = [tags[int(number)] for number in numbers if int(number) in tags]
    return act(request, page, lambda: correct(page, chosen))


@require_POST
@login_required
@never_cache
def none(request: HtmxHttpRequest, proposal_id: int) -> HttpResponse:
    page = page_of(request, proposal_id)
    return act(request, page, lambda: none_fits(page, note_of(request)))


@require_POST
@login_required
@never_cache
def pass_on(request: HtmxHttpRequest, proposal_id: int) -> HttpResponse:
    """A skip: the document goes to others."""
    page = page_of(request, proposal_id)
    said = request.POST.get("reason", "")
    reason = SkipReason(said) if said in SkipReason.values else SkipReason.OTHER
    return act(request, page, lambda: skip(page, reason, note_of(request)))


@require_POST
@login_required
@never_cache
def take_back(request: HtmxHttpRequest) -> HttpResponse:
    """Undo: the last decision that stands is taken back, and its document comes again."""
    user = signed_in(request)
    project = project_of(user)
    undone = undo(user, project, lease_and_key(request)[1])
    if undone is None:
        notice = _("There is nothing to take back.")
        return desk(request, project, claim_next(project, user), notice=notice)
    document = undone.document
    if document.lease_holder_id != user.pk:
        notice = _("Taken back. Someone else is reading the document just now.")
        return desk(request, project, claim_next(project, user), notice=notice, undone=undone)
    return desk(request, project, document, undone=undone)


def page_of(request: HttpRequest, proposal_id: int) -> Page:
    user = signed_in(request)
    return Page(user, proposal_for(user, proposal_id), *lease_and_key(request))


def project_on(page: Page) -> Project:
    return page.proposal.document.project


def lease_and_key(request: HttpRequest) -> tuple[uuid.UUID, uuid.UUID]:
    return posted_uuid(request, "lease"), posted_uuid(request, "key")


def posted_uuid(request: HttpRequest, name: str) -> uuid.UUID:
    """The field as a UUID; what is none becomes one that fits nothing, and so a conflict."""
    try:
        return uuid.UUID(request.POST.get(name, ""))
    except ValueError:
        return uuid.uuid4()


def note_of(request: HttpRequest) -> str:
    return request.POST.get("note", "").replace("\0", "").strip()[:2000]


def act(request: HtmxHttpRequest, page: Page, verb: Callable[[], Decision]) -> HttpResponse:
    """Do it, and answer with the next document: or with why not, and what there is instead."""
    project, user = project_on(page), page.reviewer
    try:
        verb()
    except Conflict as conflict:
        return desk(request, project, claim_next(project, user), notice=str(conflict), status=409)
    except NotATagSet as problem:
        return desk(request, project, claim_next(project, user), notice=str(problem), status=422)
    if not request.htmx:
        return redirect("queue")
    prefetched = request.POST.get("prefetched")
    if prefetched and any(str(held.lease_token) == prefetched for held in held_by(project, user)):
        # The page has the next document already: only the bar above it is to be moved on.
        context = {"progress": progress.of(project, user), "oob": True}
        answer = render(request, "review/_progress.html", context)
        answer["HX-Reswap"] = "none"
        answer["HX-Trigger"] = json.dumps({"desk:saved": {}})
        return answer
    return desk(request, project, claim_next(project, user))


def desk(
    request: HtmxHttpRequest,
    project: Project,
    document: Document | None,
    *,
    notice: str = "",
    undone: Decision | None = None,
    status: int = 200,
) -> HttpResponse:
    """The document with its candidates, or why there is none: as a page, or as htmx's fragment."""
    user = signed_in(request)
    context: dict[str, Any] = {
        "project": project,
        "document": document,
        "notice": notice,
        "undone": undone,
        "undo_key": uuid.uuid4(),
        "progress": progress.of(project, user),
    }
    context["can_undo"] = context["progress"].mine_today > 0
    if document is None:
        context["waiting"] = progress.why_empty(project, user)
    else:
        proposal = document.proposals.get(current=True)
        context |= {
            "proposal": proposal,
            "body": html_of(document),
            "body_cut": is_cut(document),
            "candidates": shown_candidates(proposal, user),
            "proposal_note": proposal.note,
            "lease": document.lease_token,
            "idempotency_key": uuid.uuid4(),
            "skip_reasons": SkipReason.choices,
        }
    template = "review/_desk.html" if request.htmx else "review/queue.html"
    return render(request, template, context, status=status)

"""The review desk: the next document, and what a reviewer does with it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django_htmx.middleware import HtmxDetails

from review.models import (
    Decision,
    Document,
    DocumentState,
    Project,
    Purpose,
    SkipReason,
    Standing,
    Tag,
)
from review.models.key import key_in
from review.pipeline import gold, progress, repeat
from review.pipeline.decide import (
    Page,
    correct,
    none_fits,
    pick,
    skip,
    undo,
)
from review.pipeline.queue import claim_beside, claim_next, held_by
from review.pipeline.refusal import Conflict, NotATagSet
from review.pipeline.sheet import sheet

from .access import candidate_for, project_of, proposal_for, signed_in
from .notes import noted_tags
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
    return desk(request, project, next_for(project, user))


@require_safe
@login_required
@never_cache
def following(request: HtmxHttpRequest) -> HttpResponse:
    """The document that will come after the one on the page, leased already; 204 without one."""
    user = signed_in(request)
    project = project_of(user)
    document = claim_next(project, user, after=key_in(request.GET.get("after", "")))
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
    numbers = [number.strip() for number in request.POST.getlist("tags")[:10] if number.strip()]
    return act(request, page, lambda: correct(page, tags_of(project_on(page), numbers)))


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
    lease, key = lease_and_key(request)
    undone = undo(user, project, key, page=lease)
    if undone is None:
        notice = _("There is nothing to take back.")
        return desk(request, project, claim_next(project, user), notice=notice)
    document = undone.document
    if document.lease_holder_id != user.pk:
        notice = _("Taken back. Someone else is reading the document just now.")
        if document.state in (DocumentState.REVIEWED, DocumentState.DISPUTED):
            notice = _("Taken back. The document is done without it.")
        return desk(request, project, claim_next(project, user), notice=notice, undone=undone)
    return desk(request, project, document, undone=undone)


def page_of(request: HttpRequest, proposal_id: int) -> Page:
    user = signed_in(request)
    return Page(user, proposal_for(user, proposal_id), *lease_and_key(request))


def tags_of(project: Project, numbers: list[str]) -> list[Tag]:
    """The tags with these public numbers, in this order. Raises NotATagSet for an unknown one."""
    tags = {str(tag.number): tag for tag in project.tags.all()}
    for number in numbers:
        if number not in tags:
            raise NotATagSet(_("There is no tag with the number “%(n)s”.") % {"n": number[:20]})
    return [tags[number] for number in numbers]


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
        held = [one for one in held_by(project, user) if one.lease_token == page.lease]
        document = held[0] if held else unannounced(user, page.lease)
        document = document or claim_next(project, user)
        return desk(request, project, document, notice=str(problem), status=422)
    if not request.htmx:
        return redirect("queue")
    if "prefetched" not in request.POST:
        return desk(request, project, next_for(project, user))
    prefetched = posted_uuid(request, "prefetched")
    following, still_held = claim_beside(project, user, prefetched)
    if still_held or unannounced(user, prefetched):
        return saved(request, project, mixed(following, project, user, prefetched))
    held = held_by(project, user)
    if len(held) == 1 and held[0].lease_token == prefetched:
        return saved(request, project, None)  # there was nothing more to lease
    return desk(request, project, held[0] if held else None)


def next_for(project: Project, user: User) -> Document | None:
    """The next document of the queue, or a repeat or gold in its place."""
    return mixed(claim_next(project, user), project, user)


def mixed(
    document: Document | None, project: Project, user: User, beside: uuid.UUID | None = None
) -> Document | None:
    """What to show where this document was leased: for most, itself."""
    return (
        repeat.instead_of(document, project, user, beside)
        or gold.instead_of(document, project, user, beside)
        or document
    )


def unannounced(user: User, lease: uuid.UUID) -> Document | None:
    """The document that they hold under this lease as a repeat or as gold."""
    return repeat.held(user, lease) or gold.held(user, lease)


def saved(request: HtmxHttpRequest, project: Project, following: Document | None) -> HttpResponse:
    """For a page that has the next document already: the bar moved on, and the one to follow.

    The page puts what it has prefetched in place when it hears `desk:saved`; the document in
    this answer is the next to be kept in store.
    """
    user = signed_in(request)
    context: dict[str, Any] = {"document": None}
    if following is not None:
        context = document_context(user, project, following)
    context["progress"] = progress.of(project, user)
    answer = render(request, "review/_saved.html", context)
    answer["HX-Reswap"] = "none"
    answer["HX-Trigger"] = json.dumps({"desk:saved": {}})
    return answer


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
    if document is None:
        own = Standing.objects.filter(reviewer=user).exclude(purpose=Purpose.FINAL)
        context["can_undo"] = own.exists()
        context["waiting"] = progress.why_empty(project, user)
    else:
        context |= document_context(user, project, document)
    template = "review/_desk.html" if request.htmx else "review/queue.html"
    return render(request, template, context, status=status)


def document_context(user: User, project: Project, document: Document) -> dict[str, Any]:
    """What the page needs of one document that is leased to the user."""
    proposal, candidates, suspicion = shown_candidates(document, user)
    return {
        "project": project,
        "document": document,
        "proposal": proposal,
        "sheet": sheet(document, proposal, fold=True),
        "candidates": candidates,
        "note_tags": noted_tags(candidates),
        "proposal_note": proposal.note,
        "suspicion": suspicion,
        "lease": document.lease_token,
        "idempotency_key": uuid.uuid4(),
        "undo_key": uuid.uuid4(),
        "skip_reasons": SkipReason.choices,
    }

"""The review desk: the next document, and the pick."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from django_htmx.middleware import HtmxDetails

from review.models import Candidate, Project, Proposal, Tag
from review.pipeline import progress
from review.pipeline.decide import Conflict, decide
from review.pipeline.queue import claim_next
from review.pipeline.render import is_cut
from review.pipeline.render import render as render_text

from .access import candidate_for, project_of, signed_in


class HtmxHttpRequest(HttpRequest):
    """A request after django-htmx's middleware."""

    htmx: HtmxDetails


@dataclass(frozen=True)
class ShownTag:
    name: str
    description: str
    not_for: str
    common: bool  # in every candidate of the page: nothing to choose between


@dataclass(frozen=True)
class ShownCandidate:
    id: int
    key: str  # the key that picks it: its place on the page
    tags: list[ShownTag]


@require_safe
@login_required
@never_cache
def queue(request: HtmxHttpRequest) -> HttpResponse:
    user = signed_in(request)
    return desk(request, user, project_of(user), fragment=bool(request.htmx))


@require_POST
@login_required
@never_cache
def choose(request: HtmxHttpRequest, candidate_id: int) -> HttpResponse:
    user = signed_in(request)
    candidate = candidate_for(user, candidate_id)
    project = candidate.proposal.document.project
    try:
        decide(
            candidate, user, lease=posted_uuid(request, "lease"), key=posted_uuid(request, "key")
        )
    except Conflict as conflict:
        return desk(request, user, project, bool(request.htmx), notice=str(conflict), status=409)
    if not request.htmx:
        return redirect("queue")
    return desk(request, user, project, fragment=True)


def posted_uuid(request: HttpRequest, name: str) -> uuid.UUID:
    """The field as a UUID; what is none becomes one that fits nothing, and so a conflict."""
    try:
        return uuid.UUID(request.POST.get(name, ""))
    except ValueError:
        return uuid.uuid4()


def desk(
    request: HttpRequest,
    user: User,
    project: Project,
    fragment: bool,
    notice: str = "",
    status: int = 200,
) -> HttpResponse:
    """The next document for this reviewer, or why there is none."""
    context: dict[str, Any] = {
        "project": project,
        "document": claim_next(project, user),
        "notice": notice,
        "progress": progress.of(project, user),
    }
    document = context["document"]
    if document is None:
        context["waiting"] = progress.why_empty(project, user)
    else:
        proposal = document.proposals.get(current=True)
        context |= {
            "body": render_text(document),
            "body_cut": is_cut(document),
            "candidates": shown(proposal, proposal.shown_to(user.pk)),
            "proposal_note": proposal.note,
            "lease": document.lease_token,
            "idempotency_key": uuid.uuid4(),
        }
    template = "review/_desk.html" if fragment else "review/queue.html"
    return render(request, template, context, status=status)


def shown(proposal: Proposal, candidates: list[Candidate]) -> list[ShownCandidate]:
    """The candidates in their order on the page, with what they have in common marked."""
    common = set.intersection(*(set(candidate.tags) for candidate in candidates))
    if len(candidates) == 1:
        common = set()
    return [
        ShownCandidate(candidate.pk, str(place), [shown_tag(tag, common) for tag in candidate.tags])
        for place, candidate in enumerate(candidates, start=1)
    ]


def shown_tag(tag: Tag, common: set[Tag]) -> ShownTag:
    return ShownTag(tag.name, tag.description, tag.not_for, tag in common)

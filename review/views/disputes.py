"""The documents on which reviewers disagree, and how a curator settles them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.models import Decision, Document, DocumentState, Project, Role, Tag, Tally
from review.models.decision import REVIEWS
from review.models.document import DocumentQuerySet
from review.models.key import key_in
from review.pipeline.adjudicate import settle, unsettle
from review.pipeline.refusal import Conflict, NotATagSet, check_set
from review.pipeline.sheet import sheet

from .access import project_of, signed_in
from .desk import posted_uuid, tags_of
from .shown import ShownTag, suspicion_of

ON_A_PAGE = 50
LATELY = 10  # of those that the curator settled last
KEYS = 9  # the sets that have a key of their own


@dataclass(frozen=True)
class ShownSet:
    """One of the sets that a document was given, and who gave it, first come first."""

    key: str  # the key that settles with it; empty beyond the ninth
    tags: list[ShownTag]
    decisions: list[Decision]


@require_safe
@login_required
@never_cache
def disputes(request: HttpRequest) -> HttpResponse:
    """Those that arrived first are first; `after` is the last one of the page before."""
    user = signed_in(request)
    project = project_of(user, Role.CURATOR)
    waiting = disputed(project).filter(pk__gt=key_in(request.GET.get("after", "")) or 0)
    page = list(waiting[: ON_A_PAGE + 1])
    context = {
        "project": project,
        "count": Tally.objects.of(project)[DocumentState.DISPUTED],
        "documents": page[:ON_A_PAGE],
        "more": page[ON_A_PAGE - 1].pk if len(page) > ON_A_PAGE else None,
        "settled": settled_by(user, project)[:LATELY],
    }
    return render(request, "review/disputes.html", context)


@require_safe
@login_required
@never_cache
def dispute(request: HttpRequest, document_id: int) -> HttpResponse:
    document = document_at(signed_in(request), document_id)
    return page_for(request, document)


@require_POST
@login_required
@never_cache
def settle_one(request: HttpRequest, document_id: int) -> HttpResponse:
    """With the tags of the form; without tags only where it says `none`. Then comes the next."""
    user = signed_in(request)
    document = document_at(user, document_id)
    numbers = [number.strip() for number in request.POST.getlist("tags")[:10] if number.strip()]
    try:
        if not numbers and "none" not in request.POST:
            check_set(document.project, [])
        settle(user, document, posted_uuid(request, "key"), tags_of(document.project, numbers))
    except NotATagSet as problem:
        return page_for(request, document, notice=str(problem), status=422)
    except Conflict as conflict:
        return page_for(request, document, notice=str(conflict), status=409)
    others = disputed(document.project).exclude(pk=document.pk)
    following = others.filter(pk__gt=document.pk).first() or others.first()
    if following is None:
        return redirect("disputes")
    return redirect(f"{reverse('dispute', args=[following.pk])}?settled={document.pk}")


@require_POST
@login_required
@never_cache
def take_back(request: HttpRequest, document_id: int) -> HttpResponse:
    """What the curator settled is open again, and on the page."""
    user = signed_in(request)
    document = document_at(user, document_id)
    try:
        unsettle(user, document, posted_uuid(request, "key"))
    except Conflict as conflict:
        return page_for(request, document, notice=str(conflict), status=409)
    return redirect("dispute", document.pk)


def document_at(user: User, document_id: int) -> Document:
    """The document of the curator's project; else 404."""
    project = project_of(user, Role.CURATOR)
    return get_object_or_404(Document, pk=document_id, project=project)


def disputed(project: Project) -> DocumentQuerySet:
    waiting = project.documents.filter(state=DocumentState.DISPUTED)
    return waiting.defer("text", "html").order_by("pk")


def settled_by(user: User, project: Project) -> QuerySet[Decision]:
    """What stands of what they settled, the latest first."""
    theirs = Decision.objects.final().filter(reviewer=user, document__project=project)
    whole = theirs.select_related("document").prefetch_related("placed_tags__tag")
    return whole.defer("document__text", "document__html").order_by("-pk")


def page_for(
    request: HttpRequest, document: Document, notice: str = "", status: int = 200
) -> HttpResponse:
    """The document with the sets that it was given, side by side, and how it was settled."""
    user = signed_in(request)
    document.refresh_from_db()
    decisions = Decision.objects.filter(document=document).select_related("reviewer", "candidate")
    whole = decisions.prefetch_related("candidate__placed_tags__tag", "placed_tags__tag")
    final = whole.final().first()
    proposal = document.proposals.filter(current=True).defer("calls").first()
    before = request.GET.get("settled", "")
    sets = shown_sets(list(whole.standing().filter(kind__in=REVIEWS).order_by("pk")))
    context = {
        "project": document.project,
        "document": document,
        "sheet": sheet(document, proposal, fold=False),
        "suspicion": suspicion_of(document),
        "sets": sets,
        "none_given": any(not one.tags for one in sets),
        "open": document.state == DocumentState.DISPUTED,
        "final": final,
        "own": final is not None and final.reviewer == user,
        "before": settled_by(user, document.project).filter(document=key_in(before) or 0).first(),
        "left": Tally.objects.of(document.project)[DocumentState.DISPUTED],
        "notice": notice,
        "idempotency_key": uuid.uuid4(),
    }
    return render(request, "review/dispute.html", context, status=status)


def shown_sets(decisions: list[Decision]) -> list[ShownSet]:
    """The different sets, in the order of deciding, each with all who gave it."""
    given: dict[frozenset[Tag], list[Decision]] = {}
    for decision in decisions:
        given.setdefault(frozenset(decision.tags), []).append(decision)
    common = frozenset.intersection(*given) if len(given) > 1 else frozenset()
    return [
        ShownSet(
            str(place) if place <= KEYS else "",
            [
                ShownTag(tag.number, tag.name, tag.description, tag.not_for, tag in common)
                for tag in alike[0].tags
            ],
            alike,
        )
        for place, alike in enumerate(given.values(), start=1)
    ]

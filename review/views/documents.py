"""One document: as a page to look at, and as the answer that integrators read."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from review.models import Document, DocumentState, Role
from review.pipeline import gold
from review.pipeline.sheet import sheet
from review.pipeline.tags_out import final_tags, unseen
from review.writers.expected_json import expected

from .access import document_for, membership_of, signed_in
from .shown import suspicion_of


def looked_at(request: HttpRequest, external_id: str) -> tuple[Document, bool]:
    """The document, and whether who looks is a curator.

    A reviewer who has it on their desk as gold sees it as one that waits for reviews, which it is
    to them: else what stands on it would tell what they are to find out.
    """
    user = signed_in(request)
    document = document_for(user, external_id)
    membership = membership_of(user)
    is_curator = membership is not None and Role(membership.role).covers(Role.CURATOR)
    if not is_curator and gold.is_open_to(user, document):
        document.state = DocumentState.READY
    return document, is_curator


@require_safe
@login_required
@never_cache
def page(request: HttpRequest, external_id: str) -> HttpResponse:
    document, is_curator = looked_at(request, external_id)
    proposal = document.proposals.filter(current=True).defer("calls").first()
    tags = final_tags(document)
    context = {
        "is_curator": is_curator,
        "is_gold": is_curator and gold.live().filter(document=document).exists(),
        "project": document.project,
        "document": document,
        "sheet": sheet(document, proposal, fold=False),
        "tags": tags,
        "note_tags": tags,
        "unseen": unseen(document),
        "suspicion": suspicion_of(document),
        "first": Document.objects.filter(duplicates__document=document).defer("text").first(),
    }
    return render(request, "review/look.html", context)


@require_safe
@login_required
@never_cache
def raw(request: HttpRequest, external_id: str) -> HttpResponse:
    """The text, to the character, as it is stored."""
    document = document_for(signed_in(request), external_id)
    return render(request, "review/raw.html", {"project": document.project, "document": document})


@require_safe
@never_cache
def tags_json(request: HttpRequest, external_id: str) -> HttpResponse:
    """`{"id":"5201","tags":[{"id":25,"name":"security"}]}`; no tags while it is not reviewed."""
    if not request.user.is_authenticated:
        return JsonResponse({"error": "Sign in first."}, status=401)
    document, _is_curator = looked_at(request, external_id)
    numbered = [(tag.number, tag.name) for tag in final_tags(document)]
    return JsonResponse(expected(document.external_id, numbered))

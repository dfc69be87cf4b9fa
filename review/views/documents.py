"""One document: as a page to look at, and as the answer that integrators read."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from review.models import Document
from review.pipeline.sheet import sheet
from review.pipeline.tags_out import final_tags, unseen
from review.writers.expected_json import expected

from .access import document_for, signed_in
from .shown import suspicion_of


@require_safe
@login_required
@never_cache
def page(request: HttpRequest, external_id: str) -> HttpResponse:
    document = document_for(signed_in(request), external_id)
    proposal = document.proposals.filter(current=True).defer("calls").first()
    tags = final_tags(document)
    context = {
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
    document = document_for(signed_in(request), external_id)
    numbered = [(tag.number, tag.name) for tag in final_tags(document)]
    return JsonResponse(expected(document.external_id, numbered))

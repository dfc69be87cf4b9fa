"""One document: as a page to look at, and as the answer that integrators read."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from review.pipeline.render import is_cut
from review.pipeline.render import shown as html_of
from review.pipeline.tags_out import final_tags
from review.writers.expected_json import expected

from .access import document_for, signed_in


@require_safe
@login_required
@never_cache
def page(request: HttpRequest, external_id: str) -> HttpResponse:
    document = document_for(signed_in(request), external_id)
    context = {
        "project": document.project,
        "document": document,
        "body": html_of(document),
        "body_cut": is_cut(document),
        "tags": final_tags(document),
    }
    return render(request, "review/look.html", context)


@require_safe
@never_cache
def tags_json(request: HttpRequest, external_id: str) -> HttpResponse:
    """`{"id":"5201","tags":[{"id":25,"name":"security"}]}`; no tags while it is not reviewed."""
    if not request.user.is_authenticated:
        return JsonResponse({"error": "Sign in first."}, status=401)
    document = document_for(signed_in(request), external_id)
    numbered = [(tag.number, tag.name) for tag in final_tags(document)]
    return JsonResponse(expected(document.external_id, numbered))

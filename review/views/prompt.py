"""The prompt's versions, and what a model would be sent by them: for the curator."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from review.models import Role
from review.pipeline.preview import active, preview, versions

from .access import project_of, signed_in


@require_safe
@login_required
@never_cache
def prompt(request: HttpRequest) -> HttpResponse:
    """`?version=full-3&document=5201`; else the version in use, and the document that came last."""
    project = project_of(signed_in(request), Role.CURATOR)
    known = versions()
    in_use = active(project)
    version = request.GET.get("version", "")
    version = version if version in known else in_use
    wanted = request.GET.get("document", "").strip()
    documents = project.documents.defer("html")
    if wanted:
        document = documents.filter(external_id=wanted[:500]).first()
    else:
        document = documents.order_by("-pk").first()
    context = {
        "project": project,
        "versions": known,
        "in_use": in_use,
        "version": version,
        "says": known[version],
        "wanted": wanted,
        "document": document,
        "preview": preview(project, document, version) if document else None,
    }
    status = 404 if wanted and document is None else 200
    return render(request, "review/prompt.html", context, status=status)

"""Backlogs at the provider's batch API, for the owner: begun, watched, called off."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.models import Project, Role
from review.pipeline import batch
from review.tasks import tell_batches

from .access import project_of, signed_in

SHOWN = 50


@require_safe
@login_required
@never_cache
def batches(request: HttpRequest) -> HttpResponse:
    return page(request, project_of(signed_in(request), Role.OWNER))


@require_POST
@login_required
@never_cache
def start(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    project = project_of(user, Role.OWNER)
    text = request.POST.get("documents", "")
    if not text.isdecimal() or not 0 < int(text[:9]) <= batch.MOST_WANTED:
        return page(request, project, _("Say how many documents: a number from 1 on."))
    try:
        begun = batch.start(project, user, int(text))
    except batch.NoBatch as problem:
        return page(request, project, str(problem))
    tell_batches()
    told = _("Batch %(number)d is being put together.") % {"number": begun.pk}
    messages.success(request, told)
    return redirect("batches")


@require_POST
@login_required
def cancel(request: HttpRequest, batch_id: int) -> HttpResponse:
    project = project_of(signed_in(request), Role.OWNER)
    called_off = get_object_or_404(project.batches, pk=batch_id)
    if batch.cancel(called_off):
        tell_batches()
        messages.success(request, _("It is called off. What is answered by then is kept."))
    return redirect("batches")


def page(request: HttpRequest, project: Project, problem: str = "") -> HttpResponse:
    found = list(project.batches.order_by("-pk")[:SHOWN])
    context: dict[str, Any] = {
        "project": project,
        "batches": found,
        "moving": any(one.moves for one in found),
        "problem": problem,
        "most": batch.MOST_WANTED,
    }
    if "HX-Request" in request.headers:  # only how far they are is taken of the page
        return render(request, "review/batches.html", context)
    try:
        estimate = batch.estimate(project)
    except batch.NoBatch as reason:
        context["no_batch"] = str(reason)
    else:
        context["estimate"] = estimate
        context["tokens_in"] = round(estimate.waiting * estimate.tokens_in)
        context["tokens_out"] = round(estimate.waiting * estimate.tokens_out)
    return render(request, "review/batches.html", context, status=422 if problem else 200)

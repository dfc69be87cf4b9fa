"""Looking back: what a reviewer has decided lately."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from review.models import Decision
from review.pipeline.decide import MOST_UNDONE

from .access import project_of, signed_in


@require_safe
@login_required
@never_cache
def history(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    project = project_of(user)
    decisions = (
        Decision.objects.filter(reviewer=user, document__project=project, undoes=None)
        .select_related("document", "standing", "candidate")
        .prefetch_related("candidate__placed_tags__tag", "placed_tags__tag")
        .defer("document__text", "document__html")
        .order_by("-pk")[:MOST_UNDONE]
    )
    for decision in decisions:
        decision.standing_now = hasattr(decision, "standing")  # type: ignore[attr-defined]
    context = {"project": project, "decisions": decisions}
    return render(request, "review/history.html", context)

"""How far the reviewers agree, for the curator."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from review.insight.agreement import FEWEST, MOST_READ, report
from review.models import Role

from .access import project_of, signed_in


@require_safe
@login_required
@never_cache
def agreement(request: HttpRequest) -> HttpResponse:
    project = project_of(signed_in(request), Role.CURATOR)
    context = {
        "project": project,
        "report": report(project),
        "most_read": MOST_READ,
        "fewest": FEWEST,
    }
    return render(request, "review/agreement.html", context)

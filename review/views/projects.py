"""Another project to work in, for those who have more than one."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from review.pipeline import members

from .access import signed_in


@require_POST
@login_required
def enter(request: HttpRequest, project_id: int) -> HttpResponse:
    memberships = signed_in(request).memberships.select_related("project", "user")
    members.enter(get_object_or_404(memberships, project=project_id))
    return redirect("queue")

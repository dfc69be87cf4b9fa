"""What reviewers decided, for the owner: to let all that somebody decided count no more."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.models import Project, RevocationVerb, Role
from review.models.key import key_in
from review.models.revocation import LONGEST_REASON
from review.pipeline import revoke
from review.pipeline.refusal import Conflict

from .access import project_of, signed_in


@require_safe
@login_required
@never_cache
def revoking(request: HttpRequest) -> HttpResponse:
    return page(request, project_of(signed_in(request), Role.OWNER))


@require_POST
@login_required
@never_cache
def act(request: HttpRequest) -> HttpResponse:
    """Revoke what somebody decided, or take that back."""
    user = signed_in(request)
    project = project_of(user, Role.OWNER)
    verb, reason = request.POST.get("verb", ""), request.POST.get("reason", "")
    key = key_in(request.POST.get("reviewer", ""))
    if key is None or verb not in RevocationVerb:
        raise BadRequest
    reviewer = get_object_or_404(User, pk=key)
    do = revoke.revoke if verb == RevocationVerb.REVOKE else revoke.restore
    try:
        done = do(project, reviewer, reason, user)
    except Conflict as refused:
        said = {"problem": str(refused), "asked": reviewer.pk, "reason": reason}
        return page(request, project, **said)
    if done.waiting:
        told = _("It is under way: %(n)d documents so far. The rest follows by itself.")
    elif verb == RevocationVerb.REVOKE:
        told = _("What %(name)s decided counts no more: %(n)d documents were changed.")
    else:
        told = _("What %(name)s decided counts again: %(n)d documents were changed.")
    messages.success(request, told % {"name": reviewer, "n": done.documents})
    return redirect("revoking")


def page(request: HttpRequest, project: Project, **said: Any) -> HttpResponse:
    """The list. `said`: a problem with what was asked, of whom, and the reason given."""
    context = {
        "project": project,
        "reviewers": revoke.reviewers(project),
        "longest": LONGEST_REASON,
        **said,
    }
    return render(request, "review/revoking.html", context, status=422 if said else 200)

"""The people of a project, for its owner: who is in it, and as what."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.models import Membership, Project, Role
from review.pipeline import members

from .access import project_of, signed_in

ROLES = [
    (Role.REVIEWER, gettext_lazy("Reviewer")),
    (Role.CURATOR, gettext_lazy("Curator")),
    (Role.OWNER, gettext_lazy("Owner")),
]


@require_safe
@login_required
@never_cache
def people(request: HttpRequest) -> HttpResponse:
    return page(request, project_of(signed_in(request), Role.OWNER))


@require_POST
@login_required
@never_cache
def add(request: HttpRequest) -> HttpResponse:
    """Somebody who has an account; or, by the form's second button, an account that is new."""
    project = project_of(signed_in(request), Role.OWNER)
    name, role = request.POST.get("name", "").strip(), role_in(request)
    asked = {"name": name, "role": role}
    if "new" in request.POST:
        try:
            member, password = members.create_account(project, name, role)
        except ValidationError as refused:
            return page(request, project, problem=" ".join(refused.messages), **asked)
        return page(request, project, created=member.user, password=password)
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None:
        problem = _("There is no account with this name. Check it, or create the account.")
        return page(request, project, problem=problem, **asked)
    _member, added = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": role}
    )
    if not added:
        problem = _("%(name)s is a member already: change the role in the list.") % {"name": name}
        return page(request, project, problem=problem, **asked)
    messages.success(request, _("%(name)s was added.") % {"name": name})
    return redirect("people")


@require_POST
@login_required
@never_cache
def change_role(request: HttpRequest, membership_id: int) -> HttpResponse:
    project, membership = membership_for(request, membership_id)
    try:
        members.change_role(membership, role_in(request))
    except members.LastOwner as refused:
        return page(request, project, problem=str(refused))
    messages.success(request, _("%(name)s has another role now.") % {"name": membership.user})
    return redirect("people" if membership.role == Role.OWNER else after(request, membership))


@require_POST
@login_required
@never_cache
def remove(request: HttpRequest, membership_id: int) -> HttpResponse:
    project, membership = membership_for(request, membership_id)
    try:
        members.remove(membership)
    except members.LastOwner as refused:
        return page(request, project, problem=str(refused))
    told = _("%(name)s was removed. What they decided stays.")
    messages.success(request, told % {"name": membership.user})
    return redirect(after(request, membership))


def after(request: HttpRequest, membership: Membership) -> str:
    """Where to go: who gave up their own role may no longer see this page."""
    return "queue" if membership.user == request.user else "people"


def membership_for(request: HttpRequest, membership_id: int) -> tuple[Project, Membership]:
    """The owner's project and this membership in it; else 404."""
    project = project_of(signed_in(request), Role.OWNER)
    memberships = project.memberships.select_related("project", "user")
    return project, get_object_or_404(memberships, pk=membership_id)


def role_in(request: HttpRequest) -> Role:
    try:
        return Role(request.POST.get("role", ""))
    except ValueError as error:
        raise BadRequest from error


def page(request: HttpRequest, project: Project, **said: Any) -> HttpResponse:
    """The list. `said`: a problem with what was asked and its fields, or a new password."""
    context = {"project": project, "members": members.members_of(project), "roles": ROLES, **said}
    return render(request, "review/people.html", context, status=422 if "problem" in said else 200)

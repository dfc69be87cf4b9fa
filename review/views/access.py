"""Who may see what: the one place that views ask."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from review.models import Candidate, Document, Membership, Project, Proposal, Role

# What a decision needs of a proposal: every pick reads it.
READ = [
    "current",
    "candidate_count",
    "document__lease_started_at",
    "document__project__name",
    "document__project__guidelines",
    "document__project__max_tags",
    "document__project__reviews_needed",
    "document__project__repeat_share",
    "document__project__gold_every",
]


def signed_in(request: HttpRequest) -> User:
    """The user behind `@login_required`."""
    return cast(User, request.user)


def by_entry(user: User) -> QuerySet[Membership]:
    """The user's memberships, with that project first which they entered last."""
    lately = F("entered_at").desc(nulls_last=True)
    return user.memberships.select_related("project").order_by(lately, "project_id")


def membership_of(user: User) -> Membership | None:
    """Where the user works, and as what: the project they entered last, else their first."""
    return by_entry(user).first()


def project_of(user: User, least: Role = Role.REVIEWER) -> Project:
    """The project that the user works in, where they have at least this role. Raises as below."""
    return working_as(user, least).project


def working_as(user: User, least: Role) -> Membership:
    """Where the user works, in at least this role.

    Raises PermissionDenied for someone whose role is another, or who is a member of none.
    """
    membership = membership_of(user)
    if membership is None:
        raise PermissionDenied(
            _("You are not a member of a project yet. Ask its owner to add you.")
        )
    if not Role(membership.role).covers(least):
        if least == Role.CURATOR:
            told = _("This page is for curators. Ask the owner of the project to make you one.")
        else:
            told = _("This page is for owners. Ask the owner of the project to make you one.")
        raise PermissionDenied(told)
    return membership


def candidate_for(user: User, candidate_id: int) -> Candidate:
    """The candidate, if it belongs to a project of the user; else 404, as if it were not there."""
    read = [f"proposal__{name}" for name in READ]
    candidates = Candidate.objects.select_related("proposal__document__project").only(*read)
    return get_object_or_404(
        candidates, pk=candidate_id, proposal__document__project__memberships__user=user
    )


def proposal_for(user: User, proposal_id: int) -> Proposal:
    """The proposal, if it belongs to a project of the user; else 404."""
    proposals = Proposal.objects.select_related("document__project").only(*READ)
    return get_object_or_404(proposals, pk=proposal_id, document__project__memberships__user=user)


def document_for(user: User, external_id: str) -> Document:
    """The document under this id in the user's project; else 404."""
    return get_object_or_404(Document, project=project_of(user), external_id=external_id)

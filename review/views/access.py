"""Who may see what: the one place that views ask."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from review.models import Candidate, Document, Project, Proposal

# Long columns that no decision needs.
UNREAD = ["user_message", "calls", "document__text", "document__html"]


def signed_in(request: HttpRequest) -> User:
    """The user behind `@login_required`."""
    return cast(User, request.user)


def project_of(user: User) -> Project:
    """The project that the user works in: the first they are a member of.

    Raises PermissionDenied for someone who is a member of none.
    """
    membership = user.memberships.select_related("project").order_by("project_id").first()
    if membership is None:
        raise PermissionDenied(
            "You are not a member of a project yet. Ask its owner to add you under “Memberships”."
        )
    return membership.project


def candidate_for(user: User, candidate_id: int) -> Candidate:
    """The candidate, if it belongs to a project of the user; else 404, as if it were not there."""
    unread = [f"proposal__{name}" for name in UNREAD]
    candidates = Candidate.objects.select_related("proposal__document__project").defer(*unread)
    return get_object_or_404(
        candidates, pk=candidate_id, proposal__document__project__memberships__user=user
    )


def proposal_for(user: User, proposal_id: int) -> Proposal:
    """The proposal, if it belongs to a project of the user; else 404."""
    proposals = Proposal.objects.select_related("document__project").defer(*UNREAD)
    return get_object_or_404(proposals, pk=proposal_id, document__project__memberships__user=user)


def document_for(user: User, external_id: str) -> Document:
    """The document under this id in the user's project; else 404."""
    return get_object_or_404(Document, project=project_of(user), external_id=external_id)

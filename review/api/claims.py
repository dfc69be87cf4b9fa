"""Claims: the next document of the queue, for the token's user to decide on."""

from __future__ import annotations

import datetime
import uuid

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from review.pipeline.queue import claim_next

from .bearer import REVIEW, project_of, token_of
from .documents import DocumentWithText
from .tags import TagRef

router = Router(tags=["decisions"], auth=REVIEW)


class Shown(Schema):
    rank: int
    tags: list[TagRef]


class Claim(Schema):
    """A document that is the token's user's for some minutes."""

    document: DocumentWithText
    proposal: int
    candidates: list[Shown] = Field(description="In the order in which to show them.")
    lease: uuid.UUID
    lease_expires_at: datetime.datetime


@router.post(
    "/projects/{int:project_id}/claims",
    response={200: Claim, 204: None},
    summary="Take the next document of the queue",
)
def claim(request: HttpRequest, project_id: int) -> Status[object]:
    """Whoever holds one already gets that one again. 204: there is nothing to review just now."""
    user = token_of(request).user
    document = claim_next(project_of(request, project_id), user)
    if document is None:
        return Status(204, None)
    proposal = document.proposals.get(current=True)
    candidates = {one.rank: one for one in proposal.candidates.prefetch_related("placed_tags__tag")}
    claimed = {
        "document": document,
        "proposal": proposal.pk,
        "candidates": [candidates[rank] for rank in proposal.order_for(user.pk)],
        "lease": document.lease_token,
        "lease_expires_at": document.lease_expires_at,
    }
    return Status(200, claimed)

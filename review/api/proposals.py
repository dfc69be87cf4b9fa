"""Proposals: what the model answered about a document, each time that it was asked."""

from __future__ import annotations

import datetime

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from review.models import Candidate, Proposal

from .address import Segment, document_at
from .bearer import READ, project_of
from .tags import TagRef

router = Router(tags=["proposals"], auth=READ)


class CandidateOut(Schema):
    rank: int = Field(description="1 to 3: the order of the model's answers.")
    tags: list[TagRef]
    confidence: float | None


class ProposalOut(Schema):
    id: int
    current: bool = Field(description="The one that reviewers see.")
    model: str
    prompt_version: str
    vocabulary_version: str = Field(description="The sha256 of the tag list that it was shown.")
    document_cut: bool = Field(description="It was shown only a part of the text.")
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    seconds: float
    note: str
    error: str
    created_at: datetime.datetime
    candidates: list[CandidateOut]

    @staticmethod
    def resolve_vocabulary_version(proposal: Proposal) -> str:
        return proposal.vocabulary_version.sha256

    @staticmethod
    def resolve_candidates(proposal: Proposal) -> list[Candidate]:
        return sorted(proposal.candidates.all(), key=lambda candidate: candidate.rank)


class Proposals(Schema):
    items: list[ProposalOut]


@router.get(
    "/projects/{int:project_id}/documents/{any_id:external_id}/proposals",
    response=Proposals,
    summary="What models answered",
)
def proposals(
    request: HttpRequest, project_id: int, external_id: Segment
) -> dict[str, list[Proposal]]:
    """The newest first."""
    document = document_at(project_of(request, project_id), external_id)
    found = (
        document.proposals.select_related("vocabulary_version")
        .defer("calls", "user_message", "vocabulary_version__tags")
        .prefetch_related("candidates__placed_tags__tag")
    )
    return {"items": list(found.order_by("-pk"))}

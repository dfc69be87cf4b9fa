"""Decisions: what people chose, in the order of time, and the way to add one.

Nothing is ever taken out of the list. The verbs are the desk's.
"""

from __future__ import annotations

import datetime
import uuid
from http import HTTPStatus
from typing import Annotated, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Body, Query, Router, Schema
from pydantic import ConfigDict, Field, StrictInt

from review.models import Decision, DecisionKind, Project, Proposal, SkipReason, Tag
from review.models.decision import MACHINE
from review.pipeline import decide
from review.pipeline.refusal import Conflict, NotATagSet

from .bearer import READ, REVIEW, project_of, token_of
from .documents import Text
from .page import Listed, page
from .problem import Problem, Refused
from .tags import TagRef

router = Router(tags=["decisions"], auth=READ)


MOST_IDS = 2**63 - 1
Number = Annotated[StrictInt, Field(ge=1, le=MOST_IDS)]


class DecisionOut(Schema):
    id: int
    document: str = Field(description="The document's id.")
    reviewer: str = Field(description="The name of who decided.")
    machine: bool = Field(
        description="Let through unseen: the tags are the model's, and no person has decided."
    )
    kind: DecisionKind
    tags: list[TagRef] = Field(description="In their order; of a pick, those of its candidate.")
    proposal: int | None = Field(description="The one that was on the page.")
    candidate: int | None = Field(description="The rank of the one that was picked.")
    shown: list[int] = Field(description="The candidates' ranks in the order of the page.")
    skip_reason: str
    note: str
    milliseconds: int = Field(description="From the first sight to the act.")
    created_at: datetime.datetime
    undone: bool = Field(description="Taken back or revoked later: it does not count.")
    undoes: int | None = Field(description="The decision that this one takes back.")

    @staticmethod
    def resolve_document(decision: Decision) -> str:
        return decision.document.external_id

    @staticmethod
    def resolve_reviewer(decision: Decision) -> str:
        return decision.reviewer.username

    @staticmethod
    def resolve_machine(decision: Decision) -> bool:
        return decision.reviewer.username == MACHINE

    @staticmethod
    def resolve_proposal(decision: Decision) -> int | None:
        return decision.proposal_id

    @staticmethod
    def resolve_candidate(decision: Decision) -> int | None:
        return decision.candidate.rank if decision.candidate else None

    @staticmethod
    def resolve_undone(decision: Decision) -> bool:
        return decision.kind != DecisionKind.UNDO and not hasattr(decision, "standing")

    @staticmethod
    def resolve_undoes(decision: Decision) -> int | None:
        return decision.undoes_id


class Decisions(Schema):
    items: list[DecisionOut]
    next: str | None = Field(description="The `after` of the next page; null on the last one.")


class Act(Schema):
    model_config = ConfigDict(extra="forbid")

    proposal: Number
    lease: uuid.UUID = Field(description="Of the claim.")
    key: uuid.UUID = Field(
        description="Yours, a new one for each decision: sent twice, it counts once."
    )


class Pick(Act):
    kind: Literal["pick"]
    candidate: Annotated[StrictInt, Field(ge=1, le=3, description="Its rank.")]


class Correct(Act):
    kind: Literal["correct"]
    tags: Annotated[list[Number], Field(min_length=1, max_length=3, description="Numbers.")]


class NoneFits(Act):
    kind: Literal["none"]
    note: Annotated[Text, Field(max_length=2000)] = ""


class Skip(Act):
    kind: Literal["skip"]
    reason: SkipReason
    note: Annotated[Text, Field(max_length=2000)] = ""


@router.get(
    "/projects/{int:project_id}/decisions",
    response=Decisions,
    summary="The decisions, oldest first",
)
def decisions(request: HttpRequest, project_id: int, asked: Query[Listed]) -> dict[str, object]:
    """An undo is a decision of its own, and the one that it takes back is `undone` from then on."""
    rows = (
        Decision.objects.filter(document__project=project_of(request, project_id))
        .select_related("document", "reviewer", "candidate", "standing")
        .defer("document__text", "document__html")
        .prefetch_related("candidate__placed_tags__tag", "placed_tags__tag")
    )
    items, following = page(rows, asked)
    return {"items": items, "next": following}


@router.post(
    "/projects/{int:project_id}/decisions",
    auth=REVIEW,
    response={200: DecisionOut, 409: Problem},
    summary="Decide on a document that was taken",
)
def act(
    request: HttpRequest,
    project_id: int,
    given: Annotated[Pick | Correct | NoneFits | Skip, Body(discriminator="kind")],
) -> Decision:
    """409: the document is not yours any more, or is decided; nothing was changed."""
    project = project_of(request, project_id)
    proposals = Proposal.objects.select_related("document__project")
    proposal = get_object_or_404(proposals, pk=given.proposal, document__project=project)
    page = decide.Page(token_of(request).user, proposal, given.lease, given.key)
    try:
        return _decide(project, page, given)
    except Conflict as conflict:
        raise Refused(HTTPStatus.CONFLICT, str(conflict)) from conflict
    except NotATagSet as fault:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(fault)) from fault


def _decide(
    project: Project, page: decide.Page, given: Pick | Correct | NoneFits | Skip
) -> Decision:
    match given:
        case Pick():
            candidate = page.proposal.candidates.filter(rank=given.candidate).first()
            if candidate is None:
                raise NotATagSet(_("The proposal has no candidate of this rank."))
            return decide.pick(page, candidate)
        case Correct():
            return decide.correct(page, _tags(project, given.tags))
        case NoneFits():
            return decide.none_fits(page, given.note)
        case Skip():
            return decide.skip(page, given.reason, given.note)


def _tags(project: Project, numbers: list[int]) -> list[Tag]:
    tags = {tag.number: tag for tag in project.tags.all()}
    for number in numbers:
        if number not in tags:
            raise NotATagSet(_("There is no tag with the number “%(n)s”.") % {"n": number})
    return [tags[number] for number in numbers]

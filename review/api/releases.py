"""Releases: ordered, looked at, fetched as one archive. What may be done is what their page may."""

from __future__ import annotations

import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from ninja import Body, Path, Query, Router, Schema, Status
from ninja.errors import ValidationError
from pydantic import ConfigDict, Field, StrictBool

from review.models import Release, ReleaseState
from review.pipeline import release as releasing
from review.tasks import tell_releases

from .bearer import CURATE, WRITE, project_of, token_of
from .documents import Text
from .page import Listed, page
from .problem import Problem, Refused

router = Router(tags=["releases"], auth=CURATE)

Name = Annotated[Text, Field(min_length=1, max_length=500)]
Names = Annotated[list[Name], Field(max_length=1000)]
Day = Annotated[
    str, Field(max_length=40, description="A day, or a moment as RFC 3339 has it; empty: any.")
]
Part = Annotated[float, Field(strict=True, ge=0, le=1)]
Number = Annotated[int, Path(description="The release's number: 1, 2, 3 …")]
FormatName = Annotated[str, Field(json_schema_extra={"enum": list(releasing.FORMATS)})]


class FiltersSchema(Schema):
    """All that is given must hold; what is empty asks nothing."""

    model_config = ConfigDict(extra="forbid")

    since: Day = ""
    until: Day = Field(default="", description="A day counts whole.")
    reviewers: Names = Field(default=[], description="Only their decisions; by their usernames.")
    without_reviewers: Names = []
    models: Names = Field(default=[], description="Only decisions on these models' sets.")
    prompt_versions: Names = []
    on_policy: StrictBool = Field(
        default=False, description="Only pairs that the model itself said."
    )
    policy: Literal["majority", "unanimous", "all"] = "majority"
    one_pair: StrictBool = Field(default=False, description="At most one pair a decision.")
    min_agreement: Part = 0
    min_self_consistency: Part = 0
    with_gold: StrictBool = Field(
        default=False, description="Also decisions on gold documents, which measure who decides."
    )


class ReleaseIn(Schema):
    model_config = ConfigDict(extra="forbid")

    formats: Annotated[list[FormatName], Field(min_length=1, max_length=100)] = list(
        releasing.FORMATS_AT_FIRST
    )
    filters: FiltersSchema = FiltersSchema()
    note: Annotated[Text, Field(max_length=500, description="What it is for.")] = ""


class FileOut(Schema):
    name: str = Field(description="Its path in the archive's folder.")
    rows: int | None
    bytes: int
    sha256: str


class ReleaseOut(Schema):
    number: int
    url: str = Field(description="The path of this release; its archive is at `/archive` below.")
    state: ReleaseState
    reason: str = Field(description="Why it failed.")
    note: str
    filters: FiltersSchema
    formats: list[str]
    decisions_done: int
    decisions_wanted: int = Field(description="To be read; 0 until a worker has begun.")
    counts: dict[str, Any] = Field(description="As in its manifest; empty until it is ready.")
    files: list[FileOut]
    manifest_sha256: str
    asked_by: str | None = Field(description="A username; null: a command.")
    created_at: datetime.datetime
    finished_at: datetime.datetime | None
    downloaded_at: datetime.datetime | None = Field(description="For the first time.")

    @staticmethod
    def resolve_url(release: Release) -> str:
        return path_of(release)

    @staticmethod
    def resolve_asked_by(release: Release) -> str | None:
        return release.asked_by.get_username() if release.asked_by else None


class Releases(Schema):
    items: list[ReleaseOut]
    next: str | None = Field(description="The `after` of the next page; null on the last one.")


def path_of(release: Release) -> str:
    return f"/api/v1/projects/{release.project_id}/releases/{release.number}"


@router.get(
    "/projects/{int:project_id}/releases",
    response=Releases,
    summary="The releases, oldest first",
)
def releases(request: HttpRequest, project_id: int, asked: Query[Listed]) -> dict[str, object]:
    rows = project_of(request, project_id).releases.select_related("asked_by")
    items, following = page(rows, asked)
    return {"items": items, "next": following}


@router.post(
    "/projects/{int:project_id}/releases",
    auth=WRITE,
    response={202: ReleaseOut},
    summary="Order a release",
)
def order_release(
    request: HttpRequest,
    project_id: int,
    given: Annotated[ReleaseIn, Body()],
    response: HttpResponse,
) -> Status[Release]:
    """A worker makes it. `Location` and `url` say where to ask for its state; the webhook event
    `release.ready` tells of it.
    """
    project = project_of(request, project_id)
    try:
        filters = releasing.Filters.from_dict(given.filters.dict())
        ordered = releasing.order(
            project, filters, given.formats, by=token_of(request).user, note=given.note
        )
    except releasing.NotFilters as refused:
        raise ValidationError(
            [
                {"loc": ["body", *([] if name == "formats" else ["filters"]), name], "msg": told}
                for name, told in refused.errors.items()
            ]
        ) from refused
    transaction.on_commit(tell_releases)
    response["Location"] = path_of(ordered)
    return Status(202, ordered)


@router.get(
    "/projects/{int:project_id}/releases/{int:number}",
    response=ReleaseOut,
    summary="One release",
)
def release(request: HttpRequest, project_id: int, number: Number) -> Release:
    return release_at(request, project_id, number)


@router.get(
    "/projects/{int:project_id}/releases/{int:number}/archive",
    response={200: None, 409: Problem},
    summary="Its files, as one ZIP",
    openapi_extra={
        "responses": {
            200: {
                "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
            }
        }
    },
)
def release_archive(request: HttpRequest, project_id: int, number: Number) -> StreamingHttpResponse:
    """Made while it is sent. Once fetched, the release stays. 409: it is not ready."""
    found = release_at(request, project_id, number)
    try:
        pieces = releasing.archive(found)
    except releasing.Kept as kept:
        raise Refused(HTTPStatus.CONFLICT, str(kept)) from kept
    answer = StreamingHttpResponse(pieces, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="release-{found.number}.zip"'
    return answer


@router.delete(
    "/projects/{int:project_id}/releases/{int:number}",
    auth=WRITE,
    response={204: None, 409: Problem},
    summary="Delete a release that nobody has downloaded",
)
def delete_release(request: HttpRequest, project_id: int, number: Number) -> Status[None]:
    """409: somebody has it, or a model was trained on it. Its number is not given again."""
    try:
        releasing.delete(release_at(request, project_id, number))
    except releasing.Kept as kept:
        raise Refused(HTTPStatus.CONFLICT, str(kept)) from kept
    return Status(204, None)


def release_at(request: HttpRequest, project_id: int, number: int) -> Release:
    """The release of this number; else 404."""
    found = project_of(request, project_id).releases.select_related("asked_by")
    return get_object_or_404(found, number=number)

"""Tags: the vocabulary, and of each what became of it."""

from __future__ import annotations

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from pydantic import Field

from review.models import Tag

from .bearer import READ, project_of

router = Router(tags=["tags"], auth=READ)


class TagRef(Schema):
    """A tag as the documents have it: its public number, which never changes, and its name."""

    id: int
    name: str

    @staticmethod
    def resolve_id(tag: Tag | dict[str, int]) -> int:
        return tag["id"] if isinstance(tag, dict) else tag.number


class TagOut(TagRef):
    description: str
    not_for: str
    synonyms: list[str]
    active: bool = Field(description="Neither retired nor merged: models may answer with it.")
    merged_into: int | None = Field(description="The number of the tag that it became.")
    parent: int | None = Field(description="The number of the broader tag.")

    @staticmethod
    def resolve_active(tag: Tag) -> bool:
        return tag.retired_at is None and tag.merged_into_id is None

    @staticmethod
    def resolve_merged_into(tag: Tag) -> int | None:
        return tag.merged_into.number if tag.merged_into else None

    @staticmethod
    def resolve_parent(tag: Tag) -> int | None:
        return tag.parent.number if tag.parent else None


class Tags(Schema):
    items: list[TagOut]


@router.get("/projects/{int:project_id}/tags", response=Tags, summary="All tags, by number")
def tags(request: HttpRequest, project_id: int) -> dict[str, list[Tag]]:
    known = project_of(request, project_id).tags.select_related("merged_into", "parent")
    return {"items": list(known.order_by("number"))}


@router.get("/projects/{int:project_id}/tags/{int:number}", response=TagOut, summary="One tag")
def tag(request: HttpRequest, project_id: int, number: int) -> Tag:
    known = project_of(request, project_id).tags.select_related("merged_into", "parent")
    return get_object_or_404(known, number=min(number, 2**31))  # no tag's: they end below

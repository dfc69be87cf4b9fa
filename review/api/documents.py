"""Documents: handed in, listed, read; and the tags that people gave them."""

from __future__ import annotations

import datetime
from typing import Annotated

from django.http import HttpRequest
from ninja import Body, Query, Router, Schema
from pydantic import ConfigDict, Field

from review.models import Document, DocumentState, Markup
from review.pipeline.intake import take_in
from review.pipeline.tags_out import final_tags
from review.readers import Incoming
from review.tasks import fill_queue
from review.writers.expected_json import Form, expected

from .address import Segment, document_at, path_of
from .bearer import READ, WRITE, project_of
from .page import Listed, page
from .tags import TagRef

router = Router(tags=["documents"], auth=READ)

MOST_AT_ONCE = 1000


# Databases keep no NUL.
Text = Annotated[str, Field(pattern="^[^\\u0000]*$")]


class DocumentIn(Schema):
    model_config = ConfigDict(extra="forbid")

    id: Annotated[Text, Field(min_length=1, max_length=500, description="Yours: any string.")]
    text: Text
    title: Annotated[Text, Field(max_length=500)] = ""
    source: Annotated[Text, Field(max_length=2000, description="Where it came from.")] = ""
    markup: Markup = Markup.MARKDOWN


class DocumentsIn(Schema):
    model_config = ConfigDict(extra="forbid")

    documents: Annotated[list[DocumentIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class ProblemOut(Schema):
    external_id: str
    field: str
    reason: str


class Taken(Schema):
    """What became of the documents: each is added, unchanged, replaced, kept or failed."""

    added: int
    unchanged: int
    replaced: int = Field(description="The same id with another text.")
    kept: int = Field(description="Another text for a reviewed one: a curator is asked about it.")
    failed: int = Field(description="They cannot be tagged, and are set aside with the reason.")
    duplicates: int = Field(description="Of those taken: the text is here under another id.")
    problems: list[ProblemOut] = Field(description="Why, for those that failed.")


class DocumentOut(Schema):
    id: str
    url: str = Field(description="The path of this document; its id may need encoding.")
    title: str
    source: str
    markup: Markup
    characters: int
    sha256: str = Field(description="Of the text.")
    state: DocumentState
    reason: str = Field(description="Why it failed or waits.")
    reviews: int
    created_at: datetime.datetime

    @staticmethod
    def resolve_id(document: Document) -> str:
        return document.external_id

    @staticmethod
    def resolve_url(document: Document) -> str:
        return path_of(document)


class DocumentWithText(DocumentOut):
    text: str


class ListedDocuments(Listed):
    state: DocumentState | None = Field(None, description="Only those in this state.")
    external_id: Text | None = Field(None, description="Only the one with this id.")


class Written(Schema):
    form: Form = Field(Form.OBJECTS, description="What stands for a tag.")


class Documents(Schema):
    items: list[DocumentOut]
    next: str | None = Field(description="The `after` of the next page; null on the last one.")


class DocumentTags(Schema):
    id: str
    tags: list[TagRef] | list[int] | list[str]


@router.post(
    "/projects/{int:project_id}/documents",
    response=Taken,
    auth=WRITE,
    summary="Hand in 1 to 1,000 documents",
)
def create(request: HttpRequest, project_id: int, given: Annotated[DocumentsIn, Body()]) -> object:
    """The same again changes nothing: a document is known by its id."""
    project = project_of(request, project_id)
    taken = take_in(
        project,
        [
            Incoming(
                external_id=one.id,
                text=one.text,
                title=one.title,
                source=one.source,
                markup=one.markup.value,
            )
            for one in given.documents
        ],
    )
    fill_queue()
    return taken


@router.get(
    "/projects/{int:project_id}/documents",
    response=Documents,
    summary="The documents, oldest first, without their texts",
)
def documents(
    request: HttpRequest, project_id: int, asked: Query[ListedDocuments]
) -> dict[str, object]:
    rows = project_of(request, project_id).documents.defer("text", "html")
    if asked.state is not None:
        rows = rows.filter(state=asked.state)
    if asked.external_id is not None:
        rows = rows.filter(external_id=asked.external_id)
    items, following = page(rows, asked)
    return {"items": items, "next": following}


@router.get(
    "/projects/{int:project_id}/documents/{any_id:external_id}/tags",
    response=DocumentTags,
    summary="The tags that people gave it",
)
def document_tags(
    request: HttpRequest,
    project_id: int,
    external_id: Segment,
    written: Query[Written],
) -> dict[str, object]:
    """`{"id":"5201","tags":[{"id":25,"name":"security"}]}`; no tags while it is not reviewed.

    With `form=ids`: `"tags":[25]`; with `form=names`: `"tags":["security"]`.
    """
    found = document_at(project_of(request, project_id), external_id)
    numbered = [(tag.number, tag.name) for tag in final_tags(found)]
    return expected(found.external_id, numbered, written.form)


# Last: an id may have slashes.
@router.get(
    "/projects/{int:project_id}/documents/{any_id:external_id}",
    response=DocumentWithText,
    summary="One document, with its text",
)
def document(request: HttpRequest, project_id: int, external_id: Segment) -> Document:
    return document_at(project_of(request, project_id), external_id)

"""Projects: those of the token. It is one."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router, Schema

from review.models import Project

from .bearer import READ, token_of

router = Router(tags=["projects"], auth=READ)


class ProjectOut(Schema):
    id: int
    name: str
    guidelines: str
    max_tags: int
    reviews_needed: int


class Projects(Schema):
    items: list[ProjectOut]


@router.get("/projects", response=Projects, summary="The projects of this token")
def projects(request: HttpRequest) -> dict[str, list[Project]]:
    return {"items": [token_of(request).project]}

"""A document's id in a path, whatever characters it has.

An id is written as it is, percent-encoded. Servers and proxies take slashes, dots and encoded
forms of them apart, each in its own way; so any id may also be written as "~" and its UTF-8 in
base64url, and the addresses that are given out are, where there is the slightest doubt.
"""

from __future__ import annotations

import base64
import re
from typing import Annotated

from django.http import Http404
from django.urls import register_converter
from ninja import Path

from review.models import Document, Project


class AnyId:
    """Django's `path` knows no line break."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(AnyId, "any_id")

# What the addresses of one document take.
Segment = Annotated[
    str,
    Path(
        description="The document's id, percent-encoded; or “~” and its UTF-8 in base64url: "
        "for an id that is “.” or “..”, or that ends like an address below this one.",
        examples=["5201"],
    ),
]

PLAIN = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]+")


def segment(external_id: str) -> str:
    """The id as a part of a path, which needs no further encoding."""
    if PLAIN.fullmatch(external_id):
        return external_id
    return "~" + base64.urlsafe_b64encode(external_id.encode()).decode().rstrip("=")


def document_at(project: Project, segment: str) -> Document:
    """The document behind a decoded part of a path; else 404."""
    readings = [reading for reading in (_decoded(segment), segment) if reading is not None]
    found = project.documents.filter(
        external_id__in=[reading for reading in readings if "\0" not in reading]
    )
    try:
        return min(found, key=lambda document: readings.index(document.external_id))
    except ValueError:
        raise Http404 from None


def _decoded(segment: str) -> str | None:
    if not segment.startswith("~"):
        return None
    coded = segment[1:] + "=" * (-len(segment[1:]) % 4)
    try:
        return base64.b64decode(coded, altchars=b"-_", validate=True).decode()
    except ValueError:  # neither base64 nor UTF-8
        return None


def path_of(document: Document) -> str:
    return f"/api/v1/projects/{document.project_id}/documents/{segment(document.external_id)}"

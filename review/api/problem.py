"""Errors as problem documents (RFC 9457): whatever goes wrong under /api/, whoever says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext as _
from ninja import Schema
from pydantic import Field

MEDIA_TYPE = "application/problem+json"


class Refused(Exception):
    """The call is not answered; the one sentence is for the person who wrote the program."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


class Fault(Schema):
    """One thing that is wrong with what was sent."""

    where: str = Field(description="For example: body.documents.0.text")
    detail: str


class Problem(Schema):
    type: str = "about:blank"
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong, in a sentence.")
    errors: list[Fault] = Field(default=[], description="With 422: each fault in what was sent.")


def problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> HttpResponse:
    said: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        said["errors"] = errors
    return JsonResponse(said, status=status, headers=headers, content_type=MEDIA_TYPE)


def problems(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """A middleware: errors that Django itself answers under /api/ become problem documents too."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        status = response.status_code
        if status < 400 or not request.path_info.startswith("/api/"):
            return response
        if response.headers.get("Content-Type") != MEDIA_TYPE and isinstance(
            response, HttpResponse
        ):
            # In place: its other headers stay, and what is to be done when it is sent.
            response.content = problem(status, _words(status)).content
            response["Content-Type"] = MEDIA_TYPE
            response["Content-Length"] = str(len(response.content))
        return response

    return middleware


def _words(status: int) -> str:
    match status:
        case 400:
            return _("The request cannot be read.")
        case 403:
            return _("This is not allowed.")
        case 404:
            return _("There is nothing at this address.")
        case 405:
            return _("This address does not know this method.")
        case 503:
            return _("The database does not answer, or has no room. Ask again in a moment.")
        case _other:
            return _("Something went wrong here. It was written down.")

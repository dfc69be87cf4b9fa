"""What who tries too many passwords is told."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

MINUTE = 60
LONGEST_NAME = User._meta.get_field("username").max_length


def name_tried(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """As far as a name can be one: the sign-in form takes any length, and a column does not."""
    name = (credentials or request.POST).get("username")
    return None if name is None else str(name)[:LONGEST_NAME]


def locked_out(
    request: HttpRequest, original: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """In place of the sign-in page, by django-axes. It says nothing of whether the name exists."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    context = {"minutes": seconds // MINUTE}
    status = HTTPStatus.TOO_MANY_REQUESTS
    answer = render(request, "registration/locked.html", context, status=status)
    answer["Retry-After"] = str(seconds)
    return answer

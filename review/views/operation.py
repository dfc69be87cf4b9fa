"""What machines and operators ask: does it live, can it be used, what are the figures."""

from __future__ import annotations

import hmac
import ipaddress
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from review.models import DocumentState, Project, Role, Tally, Training
from review.pipeline import health, metrics, signs

from .access import project_of, signed_in

NAMES: dict[str, Promise] = {
    "database": gettext_lazy("Database"),
    "redis": gettext_lazy("Redis"),
    "model": gettext_lazy("Model servers"),
    "waiting": gettext_lazy("Documents that wait"),
    "workers": gettext_lazy("Workers"),
    "sweeper": gettext_lazy("Sweeper"),
    "disk": gettext_lazy("Disk"),
}
WORDS: dict[health.Condition, Promise] = {
    health.Condition.OK: gettext_lazy("well"),
    health.Condition.DEGRADED: gettext_lazy("in trouble"),
    health.Condition.DOWN: gettext_lazy("down"),
}


@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers. A database that is away is no reason to end it: it is not asked."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """503 only where picks cannot be made; whatever else is in trouble is in the parts."""
    found = health.parts()
    told = {
        "status": health.overall(found),
        "parts": [
            {"name": part.name, "status": part.condition, "detail": part.told} for part in found
        ],
    }
    return JsonResponse(told, status=200 if health.serves(found) else 503)


@require_safe
@never_cache
def figures(request: HttpRequest) -> HttpResponse:
    """For Prometheus: with the settings' token or, where there is none, from this machine."""
    if not may_read(request):
        told = "Metrics are for who has the token (TAGGER_METRICS_TOKEN), else for this machine.\n"
        status = 401 if settings.METRICS_TOKEN else 403
        headers = {"WWW-Authenticate": "Bearer"} if settings.METRICS_TOKEN else {}
        return HttpResponse(told, status=status, headers=headers, content_type="text/plain")
    return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode())
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False  # a proxy on this machine asks, for whoever
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:  # by a socket that has none
        return False


@require_safe
@login_required
@never_cache
def status(request: HttpRequest) -> HttpResponse:
    """The same for a person; its inner part again, where htmx asks for that."""
    project = project_of(signed_in(request), Role.OWNER)
    template = "review/_status.html" if request.headers.get("HX-Request") else "review/status.html"
    return render(request, template, context_of(project))


def context_of(project: Project) -> dict[str, Any]:
    found = health.parts()
    tally = Tally.objects.of(project)
    trainings = Training.objects.filter(release__project=project)
    return {
        "project": project,
        "overall": health.overall(found),
        "parts": [(NAMES[part.name], WORDS[part.condition], part) for part in found],
        "states": [(state.label, tally[state]) for state in DocumentState],
        "workers": workers(),
        "last": [
            (_("Import"), "imports", project.imports.order_by("-pk").first()),
            (_("Release"), "releases", project.releases.order_by("-pk").first()),
            (_("Training"), "trainings", trainings.order_by("-pk").first()),
        ],
        "version": settings.VERSION,
        "now": timezone.now(),
    }


def workers() -> list[signs.Worker]:
    try:
        return signs.workers()
    except (redis.RedisError, OSError):
        return []  # the part above says so

"""The models that are asked, for the owner: what their servers honour, and how they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.insight.served import Today, today
from review.insight.told import recipe_line
from review.llm.client import Endpoint
from review.llm.manners import Manners
from review.models import Evaluation, Project, Role, ServedModel
from review.pipeline.endpoint import (
    NoModel,
    adopted,
    base_row_of,
    endpoints,
    recipe_of,
    row_of,
)
from review.pipeline.served import ceiling

from .access import project_of, signed_in

HELD = {
    "json_schema": gettext_lazy("a JSON schema"),
    "json_object": gettext_lazy("JSON, but not to the tags: these are checked here"),
    "": gettext_lazy("nothing: its replies are read as they come"),
}


@dataclass(frozen=True)
class Asked:
    """One model on the page. row: None before it was first asked."""

    endpoint: Endpoint
    row: ServedModel | None
    pause: float  # seconds until it may be asked again
    honours: list[tuple[Promise | str, Promise | str]]
    ceiling: int
    today: Today
    recipe: str  # how it is asked, in words
    adopted: bool
    run: Evaluation | None  # that it was adopted from, if it may be seen here


@require_safe
@login_required
@never_cache
def models(request: HttpRequest) -> HttpResponse:
    project = project_of(signed_in(request), Role.OWNER)
    context: dict[str, Any] = {"project": project}
    try:
        context["asked"] = [asked(endpoint, project) for endpoint in endpoints(project)]
    except NoModel as error:
        context["problem"] = str(error)
    context["deadline"] = settings.MODEL_DEADLINE
    return render(request, "review/models.html", context)


@require_POST
@login_required
def to_default(request: HttpRequest, served_id: int) -> HttpResponse:
    """Ask it by no run's recipe."""
    project_of(signed_in(request), Role.OWNER)
    row = get_object_or_404(ServedModel, pk=served_id)
    ServedModel.objects.filter(pk=row.pk).to_default()
    messages.success(request, _("%(model)s is asked as by default.") % {"model": row.model})
    return redirect("models")


def asked(endpoint: Endpoint, project: Project) -> Asked:
    row = row_of(endpoint)
    run = row.adopted_from if row else None
    return Asked(
        endpoint,
        row,
        row.pause(timezone.now()) if row else 0.0,
        honours(endpoint, Manners.from_json(row.manners)) if row and row.manners else [],
        ceiling(endpoint),
        today(endpoint.model, None if endpoint.grammar else endpoint.base_url),
        recipe_line(asdict(recipe_of(endpoint, row, base_row_of(endpoint)))),
        adopted(row) is not None,
        run if run and run.project_id in (None, project.pk) else None,
    )


def honours(endpoint: Endpoint, manners: Manners) -> list[tuple[Promise | str, Promise | str]]:
    def taken(so: bool) -> str:
        return _("yes") if so else _("no")

    held = _("a grammar of the tags") if endpoint.grammar else HELD[manners.response_format]
    room = ""
    if manners.tokens:
        room = " " + _("(%(tokens)s tokens for it)") % {"tokens": f"{manners.tokens:,}"}
    return [
        (_("Its replies are held to"), held),
        (_("Several replies to one request (n)"), taken(manners.several)),
        (_("Temperature"), taken(manners.temperature)),
        (_("Seed"), taken(manners.seed)),
        (_("Log-probabilities"), taken(manners.logprobs)),
        (_("Key of the prompt cache"), taken(manners.cache_key)),
        (_("The limit of tokens is called"), manners.limit),
        (_("Thinks before it answers"), taken(manners.thinks) + room),
    ]

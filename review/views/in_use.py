"""Which model the project asks, and which is tried beside it: curators see, owners change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.insight.interval import Share
from review.insight.win_rate import Duel, between
from review.models import InUse, Project, Promotion, Role, Training, TrainingState
from review.models.key import key_in
from review.pipeline import endpoint, promote
from review.pipeline.endpoint import NoModel
from review.pipeline.promote import NotPromoted

from .access import project_of, signed_in, working_as
from .insight import KINDS, MOST_LISTED, Part, Read, of_winner

MOST_SHOWN = 20  # promotions, the latest
BASE = "base"  # in a form: what the settings name


@dataclass(frozen=True)
class Model:
    """value: in a form. name: under which it is asked, as proposals have it."""

    training: Training | None
    name: str

    @property
    def value(self) -> str:
        return str(self.training.pk) if self.training else BASE


@dataclass(frozen=True)
class Trial:
    """duel: of all picks between the two so far. problem: why the rival is not asked just now."""

    rival: Model
    duel: Duel
    problem: str

    @property
    def said(self) -> str:
        return of_winner(self.duel)


@dataclass(frozen=True)
class Past:
    """A promotion, as the page tells it. won: as it was said to whoever pressed the button."""

    row: Promotion
    name: str

    @property
    def won(self) -> Share | None:
        why = self.row.why
        return Share(why["won"], why["picks"]) if why.get("picks") else None


@require_safe
@login_required
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    membership = working_as(signed_in(request), Role.CURATOR)
    project = membership.project
    read = Read(project)
    use = use_of(project)
    asked = model_of(use.tuned)
    past = list(project.promotions.select_related("tuned", "user").order_by("-pk")[:MOST_SHOWN])
    context: dict[str, Any] = {
        "project": project,
        "is_owner": Role(membership.role).covers(Role.OWNER),
        "asked": asked,
        "trial": trial_of(project, use, asked, read),
        "past": [Past(row, model_of(row.tuned).name) for row in past],
        "before": model_of(promote.before_now(project)) if past else None,
        "others": others(project, use),
        "part": Part("win-rate", KINDS["win-rate"], KINDS["win-rate"].make(read)),
        "most_listed": MOST_LISTED,
    }
    return render(request, "review/in_use.html", context)


@require_POST
@login_required
def put_in_use(request: HttpRequest) -> HttpResponse:
    """What is posted as `model` is asked from now on."""
    user = signed_in(request)
    project = project_of(user, Role.OWNER)
    training = posted(request, project)
    why = {}
    if training is not None or use_of(project).tuned_id:
        asked, wanted = model_of(use_of(project).tuned), model_of(training)
        why = told(between(wanted.name, asked.name, Read(project).outcomes))
    try:
        promote.promote(project, training, user, why)
    except NotPromoted as problem:
        messages.error(request, str(problem))
    return redirect("in_use")


@require_POST
@login_required
def back(request: HttpRequest) -> HttpResponse:
    """To what was asked before the promotion that is posted as `last`: pressed twice, once."""
    user = signed_in(request)
    project = project_of(user, Role.OWNER)
    last = project.promotions.order_by("-pk").values_list("pk", flat=True).first()
    if last is None or key_in(request.POST.get("last", "")) != last:
        messages.error(request, _("Nothing was changed: another model was put in use meanwhile."))
        return redirect("in_use")
    try:
        promote.back(project, user)
    except NotPromoted as problem:
        messages.error(request, str(problem))
    return redirect("in_use")


@require_POST
@login_required
def begin_trial(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    project = project_of(user, Role.OWNER)
    try:
        promote.try_beside(project, posted(request, project), user)
    except NotPromoted as problem:
        messages.error(request, str(problem))
    return redirect("in_use")


@require_POST
@login_required
def end_trial(request: HttpRequest) -> HttpResponse:
    """What was picked so far stays counted."""
    promote.stop_trying(project_of(signed_in(request), Role.OWNER))
    return redirect("in_use")


def posted(request: HttpRequest, project: Project) -> Training | None:
    """None for what the settings name. Raises Http404 for what is not this project's."""
    value = request.POST.get("model", "")
    if value == BASE:
        return None
    key = key_in(value)
    if key is None:
        raise Http404
    return get_object_or_404(Training, pk=key, release__project=project)


def use_of(project: Project) -> InUse:
    """As it is now; pipeline/endpoint's own look may be a second old."""
    rows = InUse.objects.filter(project=project).select_related("tuned", "rival")
    return rows.first() or InUse(project=project)


def model_of(training: Training | None) -> Model:
    if training:
        return Model(training, training.name)
    try:
        return Model(None, endpoint.configured_endpoint().model)
    except NoModel:
        return Model(None, _("what the settings name"))


def others(project: Project, use: InUse) -> list[Model]:
    """Those that could be asked instead, or tried beside: the newest first, the base last."""
    ready = Training.objects.filter(release__project=project, state=TrainingState.READY)
    found = [model_of(one) for one in ready.order_by("-pk") if one.pk != use.tuned_id]
    return found + ([model_of(None)] if use.tuned_id else [])


def trial_of(project: Project, use: InUse, asked: Model, read: Read) -> Trial | None:
    if use.rival is None and not (use.rival_is_base and use.tuned_id):
        return None
    rival = model_of(use.rival)
    duel = between(rival.name, asked.name, read.outcomes)
    return Trial(rival, duel, problem_of(project))


def problem_of(project: Project) -> str:
    """Why the rival is not asked just now; "" where it is."""
    try:
        found = endpoint.rival(project)
    except NoModel as error:
        return str(error)
    row = endpoint.row_of(found) if found else None
    return row.last_error if row and row.pause(timezone.now()) else ""


def told(duel: Duel) -> dict[str, Any]:
    """The numbers of the page, to be kept with the promotion; empty where there were none."""
    if not duel.documents:
        return {}
    return {
        "model": duel.model,
        "against": duel.against,
        "picks": duel.won.of,
        "won": duel.won.wins,
        "low": duel.won.low,
        "high": duel.won.high,
        "documents": duel.documents,
        "wins": duel.wins,
    }

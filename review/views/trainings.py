"""Trainings, for who wants a better model: ordered, watched, stopped, gone on with, downloaded."""

from __future__ import annotations

import math
from typing import Any

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.insight.drawing import DARK, LIGHT, Look, Panel, courses
from review.models import Project, ReleaseState, Role, Training, TrainingState
from review.models.key import key_in
from review.models.training import EMBEDDED_BASE, UNTRAINED
from review.pipeline import train
from review.tasks import tell_trainers

from .access import project_of, signed_in, working_as

PAGE = 50  # trainings
MOST_OFFERED = 50  # releases, and earlier trainings, to choose from
SHOWN = 12  # rows of the table beside the picture
PATIENCE = 90  # seconds that one waits for a trainer before it is said that there may be none
ELSEWHERE = "Qwen/Qwen2.5-7B-Instruct"  # in the printed lines, where the base is the embedded one

NUMBERS = ("sft_epochs", "epochs", "rate", "beta", "sft_weight", "rank")


class Order(forms.Form):
    """What is asked for. A field that is left empty is as is usual for the base."""

    release = forms.TypedChoiceField(label=gettext_lazy("Release"), coerce=int)
    base = forms.CharField(
        label=gettext_lazy("Model"),
        max_length=200,
        initial=EMBEDDED_BASE,
        help_text=gettext_lazy("“embedded”, or a name at Hugging Face, for a trainer with a GPU."),
    )
    start = forms.ChoiceField(label=gettext_lazy("It goes on from"), required=False)
    sft_epochs = forms.FloatField(label=gettext_lazy("Epochs on the chosen answers"))
    epochs = forms.FloatField(label=gettext_lazy("Epochs on the preferences"))
    rate = forms.FloatField(label=gettext_lazy("Learning rate"))
    beta = forms.FloatField(
        label=gettext_lazy("Beta"),
        help_text=gettext_lazy("Greater: it stays closer to what it was."),
    )
    sft_weight = forms.FloatField(label=gettext_lazy("Weight of the chosen answers' loss"))
    rank = forms.IntegerField(label=gettext_lazy("Rank of a new adapter"))
    cpu = forms.BooleanField(label=gettext_lazy("Without a GPU: slow"), required=False)

    use_required_attribute = False

    def __init__(self, project: Project, given: Any = None, **more: Any) -> None:
        super().__init__(given, label_suffix="", **more)
        releases = project.releases.filter(state=ReleaseState.READY).order_by("-number")
        self.fit = train.fit(releases[:MOST_OFFERED])
        self.fields["release"].choices = [(one.number, str(one)) for one in self.fit]  # type: ignore[attr-defined]
        starts = train.starts(self.fit[0], EMBEDDED_BASE)[: MOST_OFFERED + 1] if self.fit else []
        self.fields["start"].choices = [  # type: ignore[attr-defined]
            ("", _("what is usual")),
            *((name, self.called(name)) for name in starts),
            (train.NONE, _("nothing: a new adapter")),
        ]
        usual = vars(train.course_of(EMBEDDED_BASE, {}))
        for name in NUMBERS:
            self.fields[name].required = False
            self.fields[name].widget.attrs |= {"placeholder": usual[name], "step": "any", "min": 0}

    @staticmethod
    def called(name: str) -> str:
        return _("the adapter that comes with Tagger") if name == train.SHIPPED else name

    def clean_base(self) -> str:
        base: str = self.cleaned_data["base"].strip()
        if base != EMBEDDED_BASE and not train.HUB_NAME.fullmatch(base):
            raise forms.ValidationError(_("Write it as organisation/model, or “embedded”."))
        return base

    def options(self) -> dict[str, Any]:
        given = {name: self.cleaned_data.get(name) for name in NUMBERS}
        chosen = {name: value for name, value in given.items() if value is not None}
        return chosen | ({"cpu": True} if self.cleaned_data["cpu"] else {})


@require_safe
@login_required
@never_cache
def trainings(request: HttpRequest) -> HttpResponse:
    """The trainings, newest first; `?release=3` is to be trained on, `?before=12` older ones."""
    working = working_as(signed_in(request), Role.CURATOR)
    initial = {"base": EMBEDDED_BASE, "release": key_in(request.GET.get("release", ""))}
    return listing(request, working.project, Order(working.project, initial=initial))


def listing(request: HttpRequest, project: Project, form: Order) -> HttpResponse:
    found = of(project).order_by("-pk")
    before = key_in(request.GET.get("before", ""))
    if before is not None:
        found = found.filter(pk__lt=before)
    page = list(found[: PAGE + 1])
    context = {
        "project": project,
        "trainings": page[:PAGE],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "moving": any(one.state in UNTRAINED for one in page[:PAGE]),
        "form": form if may_act(request) else None,
        "has_narrowed": any(form.data.get(name) for name in NUMBERS),
    }
    return render(request, "review/trainings.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
@never_cache
def order(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    project = project_of(user, Role.OWNER)
    form = Order(project, request.POST)
    if not form.is_valid():
        return listing(request, project, form)
    chosen = form.cleaned_data
    release = project.releases.get(number=chosen["release"])
    given = {"base": chosen["base"], "start": chosen["start"] or None, "by": user}
    try:
        ordered = train.order(release, form.options(), **given)
    except train.NotOptions as problem:
        for name, told in problem.errors.items():
            form.add_error(name if name in form.fields else None, told)
        return listing(request, project, form)
    tell_trainers()
    return redirect("training", ordered.pk)


@require_safe
@login_required
@never_cache
def page(request: HttpRequest, training_id: int) -> HttpResponse:
    return show(request, training_for(request, training_id))


def show(request: HttpRequest, shown: Training, problem: str = "") -> HttpResponse:
    context = moving(shown) | {
        "project": shown.release.project,
        "may_act": may_act(request),
        "problem": problem,
        "options": sorted(shown.options.items()),
        "lines": lines_of(shown),
        "by_hand": f".venv-train/bin/python manage.py train --run {shown.pk}",
    }
    return render(request, "review/training.html", context, status=409 if problem else 200)


def moving(shown: Training) -> dict[str, Any]:
    """The part of the page that changes while it is trained."""
    waited = (timezone.now() - shown.created_at).total_seconds()
    waits = shown.state == TrainingState.WAITING
    now = shown.progress[-1] if shown.progress else None
    return {
        "training": shown,
        "moves": shown.state in UNTRAINED,
        "now": now,
        "stage": STAGES[now["phase"]] if now else "",
        "percent": 100 * now["step"] // now["steps"] if now else 0,
        "reason": shown.reason
        or (train.said_without_trainer(shown.pk) if waits and waited > PATIENCE else ""),
        "minutes_left": None if shown.seconds_left is None else math.ceil(shown.seconds_left / 60),
        "rows": rows_of(shown),
        "is_drawn": any("loss" in entry for entry in shown.progress),
    }


STAGES = {
    "sft": gettext_lazy("learning the chosen answers"),
    "before": gettext_lazy("reading the answers as the model is"),
    "dpo": gettext_lazy("learning the preferences"),
}


def rows_of(shown: Training) -> list[dict[str, Any]]:
    """Some of its progress, evenly, with the last."""
    told = [entry for entry in shown.progress if "loss" in entry]
    every = -(-len(told) // SHOWN) or 1
    chosen = [*told[::every], *(told[-1:] if (len(told) - 1) % every else [])]
    return [entry | {"stage": STAGES[entry["phase"]]} for entry in chosen]


def lines_of(shown: Training) -> str:
    """What trains it elsewhere; empty where the release has not what that needs."""
    base = ELSEWHERE if shown.base == EMBEDDED_BASE else shown.base
    course: Any = train.course_of(base, {} if base == ELSEWHERE else shown.options)
    start = "" if shown.base == EMBEDDED_BASE else shown.start
    if train.unfit(shown.release, base, course):
        return ""
    return train.commands_elsewhere(shown.release, base, start, course)


@require_safe
@login_required
@never_cache
def progress(request: HttpRequest, training_id: int) -> HttpResponse:
    """The part that moves; once nothing moves any more, the whole page anew."""
    shown = training_for(request, training_id)
    answer = render(request, "review/_training.html", moving(shown))
    if shown.state not in UNTRAINED:
        answer["HX-Refresh"] = "true"
    return answer


@require_safe
@login_required
@never_cache
@csp_update({"style-src": [UNSAFE_INLINE]})  # type: ignore[arg-type]
def picture(request: HttpRequest, training_id: int) -> HttpResponse:
    """`?dark=1` is for a dark ground."""
    shown = training_for(request, training_id)
    look = DARK if request.GET.get("dark") == "1" else LIGHT
    if not any("loss" in entry for entry in shown.progress):
        raise Http404
    return HttpResponse(drawn(shown.progress, look), content_type="image/svg+xml")


def drawn(entries: list[train.Entry], look: Look) -> str:
    """The two stages after each other; the dashed line is where the second begins."""
    first = next((entry["steps"] for entry in entries if entry["phase"] == "sft"), 0)

    def run(stage: str, figure: str) -> list[list[tuple[float, float]]]:
        begin = first if stage == "dpo" else 0
        told = [
            (float(begin + entry["step"]), float(entry[figure]))
            for entry in entries
            if entry["phase"] == stage and figure in entry
        ]
        return [told] if told else []

    panels = [
        Panel(_("Loss"), run("sft", "loss") + run("dpo", "loss")),
        Panel(_("Margin"), run("dpo", "margin")),
        Panel(_("Accuracy"), run("dpo", "accuracy"), is_share=True),
    ]
    there = [panel for panel in panels if panel.runs]
    return courses(there, _("Steps"), first if first and len(there) > 1 else None, look)


@require_safe
@login_required
@never_cache
def adapter(request: HttpRequest, training_id: int) -> HttpResponseBase:
    """The folder as a zip, made while it is sent."""
    shown = training_for(request, training_id)
    try:
        pieces = train.archive(shown)
    except train.Kept as kept:
        return HttpResponse(str(kept), status=409, content_type="text/plain; charset=utf-8")
    answer = StreamingHttpResponse(pieces, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="{shown.name}.zip"'
    return answer


@require_POST
@login_required
def stop(request: HttpRequest, training_id: int) -> HttpResponse:
    if train.stop(training_for(request, training_id, Role.OWNER)):
        messages.success(request, _("It stops after its step. What it has learned is kept."))
    return redirect("training", training_id)


@require_POST
@login_required
def go_on(request: HttpRequest, training_id: int) -> HttpResponse:
    if train.resume(training_for(request, training_id, Role.OWNER)):
        tell_trainers()
    return redirect("training", training_id)


@require_POST
@login_required
@never_cache
def delete(request: HttpRequest, training_id: int) -> HttpResponse:
    shown = training_for(request, training_id, Role.OWNER)
    try:
        train.delete(shown)
    except train.Kept as kept:
        return show(request, shown, str(kept))
    messages.success(request, _("%(name)s is deleted.") % {"name": shown.name})
    return redirect("trainings")


def of(project: Project) -> Any:
    return Training.objects.filter(release__project=project).select_related("release", "asked_by")


def training_for(request: HttpRequest, training_id: int, least: Role = Role.CURATOR) -> Training:
    """The training, if it is of the user's project; else 404. Raises PermissionDenied."""
    project = project_of(signed_in(request), least)
    found: Training = get_object_or_404(
        of(project).select_related("release__project"), pk=training_id
    )
    return found


def may_act(request: HttpRequest) -> bool:
    role = Role(working_as(signed_in(request), Role.CURATOR).role)
    return role.covers(Role.OWNER)

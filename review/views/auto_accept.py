"""What the model is sure of, for the owner: what its confidence is worth, and the switch that
lets documents through unseen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.insight.audit import audit
from review.insight.confidence import FEWEST, Point, keeping
from review.models import AutoAccept, Calibration, Role
from review.pipeline import auto_accept, calibrate
from review.pipeline.refusal import Conflict

from .access import project_of, signed_in

PROMISES = (0.9, 0.95, 0.97, 0.98, 0.99)
WIDE, HIGH = 600, 260  # of the curve; the drawing has margins around it


@dataclass(frozen=True)
class Consequence:
    """What a promise would have let through; `point` is None where nothing keeps it."""

    promise: float
    point: Point | None


@dataclass(frozen=True)
class Curve:
    """The precision over the share let through, in the drawing's units; y downwards.

    line, band: points of a polyline, and of the polygon of the intervals. marks: (y, precision).
    """

    line: str
    band: str
    marks: list[tuple[float, float]]
    promised: float | None


class Promise(forms.Form):
    promise = forms.TypedChoiceField(choices=[(str(p), str(p)) for p in PROMISES], coerce=float)


@require_safe
@login_required
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    project = project_of(signed_in(request), Role.OWNER)
    auto = AutoAccept.objects.filter(project=project).first()
    calibration = calibrate.now_in_use(project)
    context: dict[str, Any] = {
        "project": project,
        "auto": auto,
        "audit": audit(auto) if auto else None,
        "calibration": calibration,
        "fewest": FEWEST,
        "wide": WIDE,
        "middle": WIDE // 2,
        "high": HIGH,
    }
    if calibration is None:
        context["decided"] = calibrate.decided_for_now(project)
    else:
        points = calibrate.curve_of(calibration)
        promise = auto.promise if auto and auto.on else None
        context |= {
            "points": points,
            "curve": curve_of(points, calibration, promise),
            "kept": keeping(points, promise) if promise else None,
            "consequences": [Consequence(p, keeping(points, p)) for p in PROMISES],
        }
    return render(request, "review/auto_accept.html", context)


@require_POST
@login_required
def switch_on(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    project = project_of(user, Role.OWNER)
    form = Promise(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose what to promise. Nothing was changed."))
        return redirect("auto_accept")
    try:
        auto_accept.switch_on(project, form.cleaned_data["promise"], user)
    except Conflict as conflict:
        messages.error(request, str(conflict))
    return redirect("auto_accept")


@require_POST
@login_required
def switch_off(request: HttpRequest) -> HttpResponse:
    project = project_of(signed_in(request), Role.OWNER)
    auto_accept.switch_off(get_object_or_404(AutoAccept, project=project))
    return redirect("auto_accept")


@require_POST
@login_required
def send_back(request: HttpRequest) -> HttpResponse:
    """What was let through goes to the reviewers."""
    user = signed_in(request)
    auto = get_object_or_404(AutoAccept, project=project_of(user, Role.OWNER))
    try:
        auto_accept.send_back(auto, user)
    except Conflict as conflict:
        messages.error(request, str(conflict))
    return redirect("auto_accept")


def curve_of(points: Sequence[Point], calibration: Calibration, promise: float | None) -> Curve:
    lowest = min([point.low for point in points] + [promise or 1.0])
    floor = min(0.9, math.floor(lowest * 10) / 10)

    def x(point: Point) -> float:
        return round(WIDE * point.documents / calibration.documents, 1)

    def y(precision: float) -> float:
        return round(HIGH * (1 - precision) / (1 - floor), 1)

    step = 0.02 if floor >= 0.9 else 0.05 if floor >= 0.7 else 0.1 if floor >= 0.4 else 0.2
    count = round((1 - floor) / step)
    upper = [(x(point), y(point.high)) for point in points]
    lower = [(x(point), y(point.low)) for point in points]
    return Curve(
        line=drawn([(x(point), y(point.precision)) for point in points]),
        band=drawn(upper + lower[::-1]),
        marks=[(y(1 - step * place), 1 - step * place) for place in range(count + 1)],
        promised=y(promise) if promise else None,
    )


def drawn(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)

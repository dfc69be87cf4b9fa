"""How good the proposals are, as `manage.py evaluate` measured it, for the curator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.insight.compare import Difference
from review.insight.quality import Judged, by_tag, pickable
from review.insight.runs import Changed, compared, judged, passes
from review.insight.told import MEANINGS, TITLES, in_order, recipe_line
from review.models import EvaluatedDocument, Evaluation, Project, Role, ServedModel
from review.models.key import key_in
from review.pipeline.adopt import ClearlyWorse, NotAdopted, adopt, asked_now, row_for, unfit

from .access import project_of, signed_in, working_as

PAGE = 50  # runs
DOCUMENTS = 25
MOVED = 20  # documents that got better, or worse


@dataclass(frozen=True)
class Measured:
    title: Promise
    meaning: Promise | str
    value: float
    places: int


@dataclass(frozen=True)
class Changing:
    title: Promise
    difference: Difference


@dataclass(frozen=True)
class Adopting:
    """What would change; `unfit` says why nothing can.

    here: it is asked as in this run. worse: that was refused just now, as clearly worse.
    """

    row: ServedModel | None
    now: str
    then: str
    unfit: str
    here: bool
    worse: bool


@dataclass(frozen=True)
class Mark:
    """A proposed tag beside the labels: right (a best one), acceptable, or wrong."""

    name: str
    kind: str


@dataclass(frozen=True)
class Row:
    """One document: its candidates' tags marked, the first candidate first."""

    document: EvaluatedDocument
    candidates: list[list[Mark]]


@dataclass(frozen=True)
class Moved:
    """A document whose F1 is another: its first candidates in both runs."""

    document: EvaluatedDocument
    before: list[Mark]
    now: list[Mark]
    was: float
    is_now: float


@require_safe
@login_required
@never_cache
def quality(request: HttpRequest) -> HttpResponse:
    """The runs, the latest first. `?page=2` shows those before."""
    project = project_of(signed_in(request), Role.CURATOR)
    runs = Paginator(runs_of(project).defer("vocabulary").order_by("-pk"), PAGE).get_page(
        request.GET.get("page")
    )
    return render(request, "review/quality.html", {"project": project, "runs": runs})


@require_safe
@login_required
@never_cache
def run(request: HttpRequest, evaluation_id: int) -> HttpResponse:
    """`?against=3` compares with that run; `?missed=1` shows only what is not pickable."""
    membership = working_as(signed_in(request), Role.CURATOR)
    project = membership.project
    runs = runs_of(project)
    shown = get_object_or_404(runs, pk=evaluation_id)
    same = Q(source=shown.source) | Q(source_sha256=shown.source_sha256)
    others = runs.filter(same).exclude(pk=shown.pk).order_by("-pk").only("name")
    documents = list(shown.judged.all())
    missed = request.GET.get("missed") == "1"
    against = key_in(request.GET.get("against", ""))
    first = [one for one in documents if one.repeat == 0]
    listed = [one for one in first if not missed or not pickable(judged(one))[0]]
    rows = Paginator(listed, DOCUMENTS).get_page(request.GET.get("page"))
    context = {
        "project": project,
        "run": shown,
        "others": others[:PAGE],
        "measured": measured(shown),
        "tags": by_tag(passes(documents)),
        "missed": missed,
        "rows": rows,
        "marked": [row(one) for one in rows],
        "kept": f"against={against}&" if against is not None else "",
    }
    if against is not None:
        before = get_object_or_404(runs, pk=against)
        context |= {"before": before, **comparison(before, shown)}
    if Role(membership.role).covers(Role.OWNER) and shown.model:
        worse = any(one.extra_tags == "worse" for one in messages.get_messages(request))
        context["adopting"] = adopting(shown, worse)
    return render(request, "review/quality_run.html", context)


@require_POST
@login_required
def adopt_run(request: HttpRequest, evaluation_id: int) -> HttpResponse:
    """`anyway=1`: also where it is clearly worse than what was adopted before."""
    project = project_of(signed_in(request), Role.OWNER)
    shown = get_object_or_404(runs_of(project), pk=evaluation_id)
    page = redirect(reverse("quality_run", args=[shown.pk]) + "#adopt")
    try:
        adopt(shown, anyway=request.POST.get("anyway") == "1")
    except ClearlyWorse as worse:
        messages.warning(request, str(worse), extra_tags="worse")
    except NotAdopted as refused:
        messages.error(request, str(refused))
    return page


def adopting(run: Evaluation, worse: bool) -> Adopting:
    row = row_for(run)
    return Adopting(
        row,
        recipe_line(asdict(asked_now(run, row))),
        recipe_line(run.recipe),
        unfit(run),
        here=bool(row and row.adopted_from_id == run.pk),
        worse=worse,
    )


def runs_of(project: Project) -> QuerySet[Evaluation]:
    """Those that the project's curators see: its own, and those of no project."""
    return Evaluation.objects.filter(Q(project=project) | Q(project=None))


def comparison(before: Evaluation, now: Evaluation) -> dict[str, object]:
    found = compared(before, now)
    if found is None:
        return {"comparison": None}
    return {
        "comparison": found,
        "changing": [Changing(TITLES[one.name], one) for one in in_order(found.differences)],
        "better": moved(found.better),
        "worse": moved(found.worse),
    }


def measured(run: Evaluation) -> list[Measured]:
    counts = ("failed", "parse_failures", "invented", "asked_again", "tokens_in", "tokens_cached")
    places = {"cost": 6, **dict.fromkeys(counts, 1)}
    return [
        Measured(title, MEANINGS.get(name, ""), run.metrics[name], places.get(name, 3))
        for name, title in TITLES.items()
        if name in run.metrics
    ]


def row(document: EvaluatedDocument) -> Row:
    it = judged(document)
    return Row(document, [marks(tags, it) for tags in it.candidates])


def marks(tags: Sequence[str], it: Judged) -> list[Mark]:
    def kind(name: str) -> str:
        if name in it.best:
            return "right"
        return "acceptable" if name in it.acceptable else "wrong"

    return [Mark(name, kind(name)) for name in tags]


def moved(found: Sequence[Changed]) -> list[Moved]:
    return [
        Moved(
            one.second,
            marks(judged(one.first).first, judged(one.first)),
            marks(judged(one.second).first, judged(one.second)),
            one.first_f1,
            one.second_f1,
        )
        for one in found[:MOVED]
    ]

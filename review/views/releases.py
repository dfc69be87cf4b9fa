"""Releases, for those who train on them: ordered, watched, looked into, compared, downloaded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from review.models import Project, Release, ReleaseState, Role, Standing
from review.models.key import key_in
from review.pipeline import release as releasing
from review.pipeline.find import models_known
from review.pipeline.preview import versions
from review.pipeline.release_rows import rows_of
from review.pipeline.select import pseudonym
from review.tasks import tell_releases
from review.writers.read_back import Row

from . import release_words
from .access import project_of, signed_in

PAGE = 50  # releases
MOST_COMPARED = 100  # releases to choose from
LONGEST_SHOWN = 20_000  # characters of a prompt's message
SPLITS = ("train", "validation", "test")  # in this order


class Order(forms.Form):
    """What is asked for; `filters` once it is valid. The fields' names are those of Filters."""

    note = forms.CharField(label=gettext_lazy("What it is for"), max_length=500)
    formats = forms.MultipleChoiceField(
        label=gettext_lazy("Formats"),
        choices=[(name, form.label) for name, form in releasing.FORMATS.items()],
        widget=forms.CheckboxSelectMultiple,
        initial=releasing.FORMATS_AT_FIRST,
    )
    since = forms.CharField(label=gettext_lazy("From"), widget=forms.DateInput({"type": "date"}))
    until = forms.CharField(
        label=gettext_lazy("To, with this day"), widget=forms.DateInput({"type": "date"})
    )
    policy = forms.ChoiceField(
        label=gettext_lazy("Where people disagree"),
        choices=list(release_words.POLICIES.items()),
        widget=forms.RadioSelect,
        initial="majority",
    )
    min_agreement = forms.FloatField(
        label=gettext_lazy("Least agreement, 0 to 1"),
        help_text=gettext_lazy("The share of a document's reviewers who gave the set."),
    )
    min_self_consistency = forms.FloatField(
        label=gettext_lazy("Least self-consistency, 0 to 1"),
        help_text=gettext_lazy("The share of their repeats that a reviewer decided alike."),
    )
    on_policy = forms.BooleanField(label=gettext_lazy("Only what the model itself said"))
    one_pair = forms.BooleanField(label=gettext_lazy("At most one pair a decision"))
    with_gold = forms.BooleanField(label=gettext_lazy("With decisions on gold documents"))

    use_required_attribute = False

    def __init__(self, project: Project, given: Any = None) -> None:
        super().__init__(given, label_suffix="")
        known = project.releases.filter(state=ReleaseState.READY).values_list("counts", flat=True)
        counts = list(known.order_by("-pk")[:PAGE])
        chosen_from = {
            "reviewers": reviewers_of(project),
            "without_reviewers": reviewers_of(project),
            "models": sorted({*models_known(), *named("by_model", counts)}),
            "prompt_versions": [*{**versions(), **named("by_prompt_version", counts)}],
        }
        for name, choices in chosen_from.items():
            self.fields[name] = forms.MultipleChoiceField(
                label=str(release_words.TITLES[name]),
                choices=[(one, one) for one in choices if one],
                widget=forms.CheckboxSelectMultiple,
            )
        for field in self.fields.values():
            field.required = False
        for name in ("min_agreement", "min_self_consistency"):
            self.fields[name].widget.attrs |= {"min": 0, "max": 1, "step": "any"}

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        empty = releasing.Filters().as_dict()
        try:
            asked = {name: cleaned.get(name) or value for name, value in empty.items()}
            self.filters = releasing.Filters.from_dict(asked)
        except releasing.NotFilters as refused:
            self.refuse(refused)
        return cleaned

    def refuse(self, refused: releasing.NotFilters) -> None:
        for name, told in refused.errors.items():
            self.add_error(name if name in self.fields else None, told)

    @property
    def choosing(self) -> list[forms.BoundField]:
        """The lists to choose from, without those that leave no choice."""
        names = ("reviewers", "without_reviewers", "models", "prompt_versions")
        return [self[name] for name in names if self[name].field.choices]  # type: ignore[attr-defined]

    @property
    def has_narrowed(self) -> bool:
        """Something is chosen or wrong among the filters: they are to be seen."""
        return self.is_bound and any(
            name not in ("note", "formats") for name in (*self.errors, *self.changed_data)
        )


def named(which: str, counts: list[dict[str, Any]]) -> dict[str, str]:
    return {name: "" for one in counts for name in one.get(which, {})}


def reviewers_of(project: Project) -> list[str]:
    """The members, and former ones whose decisions stand."""
    here = Standing.objects.filter(reviewer=OuterRef("pk"), document__project=project)
    names = {
        *User.objects.filter(Exists(here)).values_list("username", flat=True),
        *project.memberships.values_list("user__username", flat=True),
    }
    return sorted(names)


@require_safe
@login_required
@never_cache
def releases(request: HttpRequest) -> HttpResponse:
    """The newest first; `?before=12` those older than that number."""
    return listing(request, project_of(signed_in(request), Role.CURATOR))


def listing(request: HttpRequest, project: Project, form: Order | None = None) -> HttpResponse:
    found = project.releases.select_related("asked_by").defer("files").order_by("-number")
    before = key_in(request.GET.get("before", ""))
    if before is not None:
        found = found.filter(number__lt=before)
    page = list(found[: PAGE + 1])
    context: dict[str, Any] = {
        "project": project,
        "releases": page[:PAGE],
        "older": page[PAGE - 1].number if len(page) > PAGE else None,
        "moving": any(one.moves for one in page[:PAGE]),
        "before": before,
    }
    if "HX-Request" not in request.headers:  # else only the table is taken of the page
        context["form"] = form or Order(project)
    return render(request, "review/releases.html", context, status=422 if form else 200)


@require_POST
@login_required
@never_cache
def order(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    project = project_of(user, Role.CURATOR)
    form = Order(project, request.POST)
    if form.is_valid():
        asked = form.cleaned_data
        try:
            ordered = releasing.order(
                project, form.filters, asked["formats"], by=user, note=asked["note"]
            )
        except releasing.NotFilters as refused:
            form.refuse(refused)
        else:
            transaction.on_commit(tell_releases)
            return redirect("release_page", ordered.number)
    return listing(request, project, form)


@require_POST
@login_required
def again(request: HttpRequest, number: int) -> HttpResponse:
    """The same order once more: a new release, with a number of its own."""
    before = release_for(request, number)
    try:
        filters = releasing.Filters.from_dict(before.filters)
        ordered = releasing.order(
            before.project, filters, before.formats, by=signed_in(request), note=before.note
        )
    except releasing.NotFilters as refused:  # of an older Tagger
        messages.error(request, str(refused))
        return redirect("release_page", number)
    transaction.on_commit(tell_releases)
    return redirect("release_page", ordered.number)


@dataclass(frozen=True)
class Bar:
    """A count, and how long its bar is beside the longest: 0 to 100."""

    name: str
    count: int
    length: int


@dataclass(frozen=True)
class Use:
    """A line for a terminal."""

    title: str
    line: str


@dataclass(frozen=True)
class Shown:
    """A row as it is read: what of it is cut is said."""

    row: Row

    @property
    def prompt(self) -> list[tuple[str, str, bool]]:
        return [
            (role, text[:LONGEST_SHOWN], len(text) > LONGEST_SHOWN)
            for role, text in self.row.prompt
        ]


@require_safe
@login_required
@never_cache
def page(request: HttpRequest, number: int) -> HttpResponse:
    """`?against=2` compares with that release."""
    shown = release_for(request, number)
    project = shown.project
    context: dict[str, Any] = {"project": project, "release": shown}
    names = release_names(shown) if shown.counts else {}
    at_first = releasing.Filters().as_dict()
    context["filters"] = [
        (release_words.title(name, {}), release_words.worded(name, value))
        for name, value in shown.filters.items()
        if value != at_first.get(name) or name == "policy"
    ]
    if shown.state != ReleaseState.FAILED:
        context |= preview(shown)
    if shown.state == ReleaseState.READY:
        context |= {
            "counted": counted(shown, names),
            "left_out": left_out(shown),
            "uses": uses(shown),
        }
        ready = project.releases.filter(state=ReleaseState.READY).exclude(pk=shown.pk)
        context["others"] = ready.order_by("-number").only("number", "note")[:MOST_COMPARED]
        against = key_in(request.GET.get("against", ""))
        if against is not None:
            other = get_object_or_404(ready, number=against)
            context |= {"other": other, "differences": differences(other, shown)}
    return render(request, "review/release.html", context)


def preview(shown: Release) -> dict[str, Any]:
    try:
        found = rows_of(shown)
    except OSError:
        return {"no_files": True}
    return {"rows": [Shown(row) for row in found.rows], "rows_file": found.file}


def counted(shown: Release, names: Mapping[str, str]) -> list[tuple[str, list[Bar]]]:
    """(what is counted, its bars): the greatest first where it has no order of its own."""
    found = []
    for which in ("by_slot", "by_reviewer", "by_model", "by_prompt_version", "by_split"):
        counts: dict[str, int] = shown.counts.get(which, {})
        most = max(counts.values(), default=0)
        bars = [
            Bar(called(which, name, names), count, 100 * count // most if most else 0)
            for name, count in counts.items()
        ]
        if which == "by_split":
            bars.sort(key=lambda bar: SPLITS.index(bar.name))
        elif which != "by_slot":
            bars.sort(key=lambda bar: -bar.count)
        if bars:
            found.append((str(release_words.TITLES[which]), bars))
    return found


def called(which: str, name: str, names: Mapping[str, str]) -> str:
    if which == "by_slot":
        return {"1": _("First"), "2": _("Second"), "3": _("Third")}.get(name, name)
    return names.get(name, name) if which == "by_reviewer" else name or "—"


def release_names(*shown: Release) -> dict[str, str]:
    """What the pseudonyms stand for. In the files they stay pseudonyms."""
    wanted = {name for one in shown for name in one.counts.get("by_reviewer", {})}
    everybody = User.objects.values_list("pk", "username")
    found = ((pseudonym(shown[0].project, pk), username) for pk, username in everybody.iterator())
    return {name: username for name, username in found if name in wanted}


def left_out(shown: Release) -> list[tuple[str, list[tuple[str, int]]]]:
    """(of which kind, [(why, how many)])."""
    found = []
    for kind, told in release_words.KINDS.items():
        counts: dict[str, int] = shown.counts["left_out"].get(kind, {})
        rows = [(release_words.reason(kind, name), count) for name, count in counts.items()]
        if rows:
            found.append((str(told), sorted(rows, key=lambda row: -row[1])))
    return found


def differences(one: Release, other: Release) -> list[tuple[str, str, str]]:
    names = release_names(other, one)
    return [
        (
            release_words.title(name, names),
            release_words.worded(name, first),
            release_words.worded(name, second),
        )
        for name, first, second in releasing.difference(one, other)
    ]


def uses(shown: Release) -> list[Use]:
    """The exact lines: for what trains on it, and for the same release by the command."""
    found = []
    if "trl" in shown.formats:
        line = [".venv-train/bin/python", "manage.py", "train", str(shown.number)]
        line += ["--project", shown.project.name]
        trained = _("Train the embedded model, after make train-deps:")
        found.append(Use(trained, spelled(line)))
        line = ["trl", "dpo", "--model_name_or_path", "MODEL", "--use_peft"]
        line += ["--dataset_name", f"release-{shown.number}", "--dataset_config", "dpo"]
        elsewhere = _("Train another model with TRL, where the archive is unpacked:")
        found.append(Use(elsewhere, spelled([*line, "--output_dir", "out"])))
    found.append(Use(_("Order the same by the command:"), spelled(command(shown))))
    return found


def command(shown: Release) -> list[Any]:
    """The line of `manage.py release` with the same filters and formats."""
    line: list[Any] = [".venv/bin/python", "manage.py", "release", shown.project.name]
    for name in shown.formats:
        line += ["--format", name]
    at_first = releasing.Filters().as_dict()
    for name, value in shown.filters.items():
        if value == at_first.get(name):
            continue
        line.append("--" + name.replace("_", "-"))
        if isinstance(value, list):
            line += value
        elif value is not True:
            line.append(value)
    return line + (["--note", shown.note] if shown.note else [])


def spelled(line: list[Any]) -> str:
    return shlex.join(map(str, line))


@require_safe
@login_required
@never_cache
def progress(request: HttpRequest, number: int) -> HttpResponse:
    """The part of the page that moves; once nothing moves any more, the whole page anew."""
    shown = release_for(request, number)
    answer = render(request, "review/_release.html", {"release": shown})
    if not shown.moves:
        answer["HX-Refresh"] = "true"
    return answer


@login_required
@require_GET
@never_cache
def archive(request: HttpRequest, number: int) -> HttpResponseBase:
    """The zip, made while it is sent. From the first download on the release stays."""
    shown = release_for(request, number)
    try:
        pieces = releasing.archive(shown)
    except releasing.Kept as kept:
        return HttpResponse(str(kept), status=409, content_type="text/plain; charset=utf-8")
    answer = StreamingHttpResponse(pieces, content_type="application/zip")
    answer["Content-Disposition"] = f'attachment; filename="release-{shown.number}.zip"'
    return answer


@require_POST
@login_required
def delete(request: HttpRequest, number: int) -> HttpResponse:
    shown = release_for(request, number)
    try:
        releasing.delete(shown)
    except releasing.Kept as kept:
        messages.error(request, str(kept))
        return redirect("release_page", shown.number)
    messages.success(request, _("Release %(number)d was deleted.") % {"number": shown.number})
    return redirect("releases")


def release_for(request: HttpRequest, number: int) -> Release:
    """The release of this number in the curator's project; else 404."""
    project = project_of(signed_in(request), Role.CURATOR)
    return get_object_or_404(project.releases.select_related("project", "asked_by"), number=number)

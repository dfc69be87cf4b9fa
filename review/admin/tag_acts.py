"""What a curator does to tags: a form, the preview of what it would touch, the act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from review.models import Document, Project, Tag, Verb
from review.models.key import key_in
from review.pipeline import curate
from review.pipeline.touched import Touched, touched
from review.pipeline.vocabulary import (
    LARGEST_NUMBER,
    LONGEST_NAME,
    Fields,
    NotAllowed,
    Plan,
    Stale,
    TagList,
    add,
    carry_out,
    describe,
    free_number,
    last_change,
    merge,
    read,
    restore,
    retire,
    split,
)
from review.tasks import fill_queue

from .site import asking, run_by

MOST_SHOWN = 100  # changes in a preview
AT_ONCE = 1000  # documents that one act of the documents page is for
Make = Callable[[TagList], Plan]

CALLED: dict[str, Promise] = {
    "number": gettext_lazy("number"),
    "name": gettext_lazy("name"),
    "description": gettext_lazy("description"),
    "not_for": gettext_lazy("not for"),
    "synonyms": gettext_lazy("synonyms"),
    "retired": gettext_lazy("state"),
    "merged_into": gettext_lazy("merged into"),
    "parent": gettext_lazy("broader tag"),
}
ASKED: dict[Verb, Promise] = {
    Verb.ADD: gettext_lazy("Add a tag?"),
    Verb.DESCRIBE: gettext_lazy("Describe otherwise?"),
    Verb.RENAME: gettext_lazy("Rename?"),
    Verb.MERGE: gettext_lazy("Merge?"),
    Verb.SPLIT: gettext_lazy("Split?"),
    Verb.RETIRE: gettext_lazy("Retire?"),
    Verb.RESTORE: gettext_lazy("Restore?"),
    Verb.IMPORT: gettext_lazy("Apply the file?"),
    Verb.REVERT: gettext_lazy("Revert the change?"),
}


@dataclass
class Difference:
    """What becomes of one tag: (field, before, after), as a page says it."""

    number: int
    name: str
    new: bool
    fields: list[tuple[Promise, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Ask:
    """What a preview asks, beside the plan itself.

    action: where its form is sent; carried: what the form sends along; back: without a change.
    """

    make: Make
    action: str
    carried: list[tuple[str, str]]
    back: str
    extra: dict[str, Any] = field(default_factory=dict)


def tag_of(request: HttpRequest, key: str) -> Tag | None:
    """The tag, if it is in a project that they run."""
    found = Tag.objects.filter(pk=key_in(key) or 0, project__in=run_by(request))
    return found.select_related("project", "use").first()


def list_url(project: Project) -> str:
    return f"{reverse('admin:review_tag_changelist')}?project={project.pk}"


def show(request: HttpRequest, template: str, project: Project, **context: Any) -> HttpResponse:
    """A page of the tag list."""
    told = {"project": project, "list_url": list_url(project), **context}
    return TemplateResponse(request, f"admin/review/tag/{template}.html", told)


def preview(request: HttpRequest, project: Project, ask: Ask) -> HttpResponse:
    """The preview of a plan; or, with its confirmation, the act. Raises NotAllowed."""
    seen = last_change(project)
    plan = ask.make(read(project))
    if request.POST.get("confirm"):
        try:
            carry_out(project, plan, asking(request), int_in(request.POST, "seen", -1))
        except Stale:
            told = _("Somebody changed the list meanwhile. Look again; nothing was changed.")
            messages.error(request, told)
        else:
            tell(request, project, plan)
            return redirect(list_url(project))
    found = touched(project, plan.touching)
    ordered = sorted(plan.after.items(), key=lambda one: one[0] not in plan.before)
    names = {number: fields.name for number, fields in {**plan.before, **plan.after}.items()}
    changes = [
        difference(plan.before.get(number), number, fields, names)
        for number, fields in ordered[:MOST_SHOWN]
    ]
    return show(
        request,
        "preview",
        project,
        title=ASKED[plan.verb],
        verb=plan.verb,
        changes=changes,
        more=len(ordered) - len(changes),
        touched=found,
        touches=bool(plan.touching),
        can_reopen=bool(found.final.count) and plan.verb in (Verb.SPLIT, Verb.RETIRE),
        seen=seen,
        action=ask.action,
        carried=ask.carried,
        back=ask.back,
        **ask.extra,
    )


def tell(request: HttpRequest, project: Project, plan: Plan) -> None:
    """Say what was done; and reopen documents and ask the model again, where that was ticked."""
    count = ngettext("%(n)d tag changed.", "%(n)d tags changed.", len(plan.after))
    told = [f"{plan.verb.label}: {count % {'n': len(plan.after)}}"]
    reopen, ask = request.POST.get("reopen"), request.POST.get("ask")
    if reopen or ask:
        found = touched(project, plan.touching)
        if reopen:
            told.append(reopened(found, asking(request)))
        if ask:
            keys = found.open_keys + (found.final_keys if reopen else [])
            told.append(asked_again(keys))
            if found.open_ones.more:
                told.append(_("There are more: do the rest on the documents page."))
    messages.success(request, " ".join(told))


def reopened(found: Touched, curator: User) -> str:
    changed = sum(
        curate.reopen(Document.objects.filter(pk__in=keys), curator).changed
        for keys in in_parts(found.final_keys)
    )
    told = ngettext("%(n)d document is reopened.", "%(n)d documents are reopened.", changed)
    return told % {"n": changed}


def asked_again(keys: list[int]) -> str:
    changed, left = 0, 0
    for part in in_parts(keys):
        outcome = curate.ask_again(Document.objects.filter(pk__in=part))
        changed += outcome.changed
        left += sum(count for count in outcome.left.values() if count > 0)
    if changed:
        fill_queue()
    told = ngettext(
        "The model is asked again about %(n)d document.",
        "The model is asked again about %(n)d documents.",
        changed,
    ) % {"n": changed}
    if left:
        told += " " + _("Left as they were, in use or with reviews: %(n)d.") % {"n": left}
    return told


def in_parts(keys: list[int]) -> Iterable[list[int]]:
    return (keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE))


def difference(
    before: Fields | None, number: int, after: Fields, names: Mapping[int, str]
) -> Difference:
    """`names`: what the tags are called, that this one may lead to."""
    found = Difference(number, (before or after).name, before is None)
    for name, called in CALLED.items():
        if name == "number":
            continue
        old = said(getattr(before, name), name, names) if before else ""
        new = said(getattr(after, name), name, names)
        if old != new and (before or name not in ("name", "retired")):
            found.fields.append((called, old, new))
    return found


def said(value: Any, name: str, names: Mapping[int, str]) -> str:
    """A field's value, for a person."""
    if name == "retired":
        return _("retired") if value else _("in use")
    if name == "synonyms":
        return "; ".join(value)
    if name in ("merged_into", "parent"):
        return "" if value is None else names.get(value, str(value))
    return str(value)


# --- The forms -----------------------------------------------------------------------------


class OneLine(forms.CharField):
    """A text of one line, in a box of several: a model is told it in one."""

    widget = forms.Textarea({"rows": 2})

    def to_python(self, value: Any) -> str:
        return " ".join((super().to_python(value) or "").splitlines())


class TagForm(forms.Form):
    number = forms.IntegerField(
        label=gettext_lazy("Number"),
        min_value=0,
        max_value=LARGEST_NUMBER,
        required=False,
        help_text=gettext_lazy("For good: names may change, numbers never do. Empty: the next."),
    )
    name = forms.CharField(label=gettext_lazy("Name"), max_length=LONGEST_NAME)
    description = OneLine(
        label=gettext_lazy("Description"),
        required=False,
        help_text=gettext_lazy("When to use it, in one line: the model and reviewers read it."),
    )
    not_for = OneLine(
        label=gettext_lazy("Not for"),
        required=False,
        help_text=gettext_lazy("When not to use it, in one line."),
    )
    synonyms = forms.CharField(
        label=gettext_lazy("Synonyms"),
        required=False,
        widget=forms.Textarea({"rows": 3}),
        help_text=gettext_lazy("One a line. Reviewers find the tag by them."),
    )
    parent = forms.TypedChoiceField(
        label=gettext_lazy("Broader tag"), required=False, coerce=int, empty_value=None
    )

    def __init__(
        self,
        tags: TagList,
        data: QueryDict | None = None,
        number: int | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial, label_suffix="")
        if number is not None:
            del self.fields["number"]
        self.fields["parent"].choices = [("", "—"), *choices(tags, {number})]  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        found = {name: value for name, value in self.cleaned_data.items() if name != "number"}
        return {**found, "synonyms": tuple(found["synonyms"].splitlines())}


class MergeForm(forms.Form):
    into = forms.TypedChoiceField(label=gettext_lazy("Into"), coerce=int)

    def __init__(
        self,
        tags: TagList,
        numbers: list[int],
        data: QueryDict | None = None,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial, label_suffix="")
        self.fields["into"].choices = [("", ""), *choices(tags, set(numbers))]  # type: ignore[attr-defined]


class SplitForm(forms.Form):
    names = forms.CharField(
        label=gettext_lazy("Into"),
        widget=forms.Textarea({"rows": 4}),
        help_text=gettext_lazy("One name a line, two at least. What is no tag yet is made."),
    )


def choices(tags: TagList, without: set[int | None]) -> list[tuple[int, str]]:
    found = [(n, fields.name) for n, fields in tags.items() if fields.active and n not in without]
    return sorted(found, key=lambda one: one[1].casefold())


# --- The addresses -------------------------------------------------------------------------


def add_one(request: HttpRequest, project: Project) -> HttpResponse:
    """A new tag; `?name=` suggests one."""
    tags = read(project)
    if request.method != "POST":
        form = TagForm(tags, initial={"name": request.GET.get("name", "")[:LONGEST_NAME]})
        return show(request, "add", project, form=form, next_number=free_number(tags))
    form = TagForm(tags, request.POST)
    if form.is_valid():
        number = form.cleaned_data["number"]
        ask = Ask(
            lambda tags: add(tags, Fields(**form.values()), number),
            f"{request.path}?project={project.pk}",
            carried(request.POST),
            list_url(project),
        )
        try:
            return preview(request, project, ask)
        except NotAllowed as problem:
            form.add_error(None, str(problem))
    return show(request, "add", project, form=form, next_number=free_number(tags))


def change_one(request: HttpRequest, tag: Tag) -> HttpResponse:
    """Another name, other texts, other synonyms; and the ways to the other verbs."""
    project = tag.project
    tags = read(project)
    number, fields = tag.number, tags[tag.number]
    if request.method == "POST":
        form = TagForm(tags, request.POST, number=number)
        if form.is_valid():
            ask = Ask(
                lambda tags: describe(tags, {number: form.values()}),
                request.path,
                carried(request.POST),
                request.path,
            )
            try:
                return preview(request, project, ask)
            except NotAllowed as problem:
                form.add_error(None, str(problem))
    else:
        initial = {**vars(fields), "synonyms": "\n".join(fields.synonyms)}
        form = TagForm(tags, initial=initial, number=number)
    notes = tag.notes.filter(done_at=None).select_related("author", "document")
    return show(
        request,
        "change",
        project,
        form=form,
        tag=tag,
        active=fields.active,
        into=tags[fields.merged_into] if fields.merged_into is not None else None,
        use=getattr(tag, "use", None),
        notes=notes.defer("document__text", "document__html").order_by("-pk")[:20],
    )


def act(request: HttpRequest, verb: str) -> HttpResponse:
    """`?tag=1&tag=2`: merge, split, retire or restore these."""
    ticked = request.GET.getlist("tag")[:500]
    keys = [key for key in map(key_in, ticked) if key is not None]
    chosen = list(
        Tag.objects.filter(pk__in=keys, project__in=run_by(request)).select_related("project")
    )
    projects = {tag.project for tag in chosen}
    if not chosen or len(chosen) != len(set(keys)) or len(projects) != 1 or verb not in ACTS:
        raise Http404
    project = projects.pop()
    tags = read(project)
    numbers = [tag.number for tag in chosen]
    form, make = ACTS[verb](request, tags, numbers)
    problem = ""
    if make is not None:
        ask = Ask(make, request.get_full_path(), carried(request.POST), list_url(project))
        try:
            return preview(request, project, ask)
        except NotAllowed as refused:
            problem = str(refused)
    if form is None:
        messages.error(request, problem)
        return redirect(list_url(project))
    if problem:
        form.add_error(None, problem)
    return show(request, "act", project, form=form, chosen=chosen, verb=verb)


def ask_merge(
    request: HttpRequest, tags: TagList, numbers: list[int]
) -> tuple[forms.Form, Make | None]:
    initial = {"into": request.GET.get("into", "")}
    if request.method != "POST":
        return MergeForm(tags, numbers, initial=initial), None
    form = MergeForm(tags, numbers, request.POST)
    if not form.is_valid():
        return form, None
    into = form.cleaned_data["into"]
    return form, lambda tags: merge(tags, numbers, into)


def ask_split(
    request: HttpRequest, tags: TagList, numbers: list[int]
) -> tuple[forms.Form, Make | None]:
    if len(numbers) != 1:
        raise Http404
    form = SplitForm(request.POST if request.method == "POST" else None, label_suffix="")
    if not form.is_valid():
        return form, None
    names = form.cleaned_data["names"].splitlines()
    return form, lambda tags: split(tags, numbers[0], names)


def ask_retire(
    request: HttpRequest, tags: TagList, numbers: list[int]
) -> tuple[forms.Form | None, Make | None]:
    return None, lambda tags: retire(tags, numbers)


def ask_restore(
    request: HttpRequest, tags: TagList, numbers: list[int]
) -> tuple[forms.Form | None, Make | None]:
    return None, lambda tags: restore(tags, numbers)


ACTS: dict[str, Callable[..., tuple[forms.Form | None, Make | None]]] = {
    "merge": ask_merge,
    "split": ask_split,
    "retire": ask_retire,
    "restore": ask_restore,
}


def project_for(request: HttpRequest, key: int) -> Project:
    """The project, if they run it; else 404, as if it were not there."""
    return get_object_or_404(run_by(request).distinct(), pk=key)


def carried(fields: QueryDict) -> list[tuple[str, str]]:
    """What a form sent, to be sent again with the confirmation."""
    own = ("csrfmiddlewaretoken", "confirm", "seen", "ask", "reopen")
    return [
        (name, str(value)) for name, values in fields.lists() for value in values if name not in own
    ]


def int_in(fields: QueryDict, name: str, default: int) -> int:
    found = key_in(str(fields.get(name, "")))
    return default if found is None else found

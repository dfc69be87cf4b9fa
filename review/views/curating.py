"""The curator's documents: look for some, and change a selection of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.models import DocumentState, Project, Role, Tally
from review.models.document import DocumentQuerySet
from review.models.key import key_in
from review.pipeline import curate
from review.pipeline.curate import Outcome
from review.pipeline.find import MOST, Place, Wanted, find, keys_of, models_known
from review.tasks import fill_queue

from .access import project_of, signed_in


@dataclass(frozen=True)
class Act:
    name: Promise
    says: Promise | str
    verb: Callable[[DocumentQuerySet, User], Outcome]
    wakes_workers: bool = False


ACTS = {
    "pin": Act(
        gettext_lazy("Pin"),
        gettext_lazy("first in the queue"),
        lambda documents, curator: curate.pin(documents),
    ),
    "unpin": Act(gettext_lazy("Unpin"), "", lambda documents, curator: curate.unpin(documents)),
    "ask": Act(
        gettext_lazy("Ask the model again"),
        "",
        lambda documents, curator: curate.ask_again(documents),
        wakes_workers=True,
    ),
    "reopen": Act(
        gettext_lazy("Reopen"), gettext_lazy("takes all their reviews back"), curate.reopen
    ),
    "retire": Act(
        gettext_lazy("Retire"),
        gettext_lazy("out of the queue and the exports"),
        lambda documents, curator: curate.retire(documents),
    ),
    "restore": Act(
        gettext_lazy("Restore"),
        gettext_lazy("what was retired"),
        lambda documents, curator: curate.restore(documents),
        wakes_workers=True,
    ),
}


class Filter(forms.Form):
    """What the address asks for. A field that makes no sense is said to, and does not count."""

    words = forms.CharField(
        label=gettext_lazy("Words"), max_length=200, widget=forms.TextInput({"type": "search"})
    )
    begins = forms.CharField(label=gettext_lazy("Id begins with"), max_length=500)
    disagreement = forms.FloatField(
        label=gettext_lazy("Disagreement at least"),
        min_value=0,
        max_value=1,
        widget=forms.NumberInput({"step": "any"}),
    )
    pinned = forms.BooleanField(label=gettext_lazy("Pinned"))
    unseen = forms.BooleanField(label=gettext_lazy("Accepted unseen"))
    suspicious = forms.BooleanField(label=gettext_lazy("Speaks to the model"))
    oldest_first = forms.BooleanField(label=gettext_lazy("Oldest first"))

    use_required_attribute = False

    def __init__(self, query: QueryDict, project: Project) -> None:
        super().__init__(query, auto_id="filter-%s", label_suffix="")
        members = User.objects.filter(memberships__project=project).order_by("username")
        models = [(name, name) for name in models_known()]
        self.fields |= {
            "state": forms.ChoiceField(
                label=_("State"), choices=[("", ""), *DocumentState.choices]
            ),
            "tag": forms.ModelChoiceField(
                project.tags.all(), label=_("Final tag"), to_field_name="number", empty_label=""
            ),
            "reviewer": forms.ModelChoiceField(
                members, label=_("Reviewer"), to_field_name="username", empty_label=""
            ),
            "model": forms.ChoiceField(label=_("Model"), choices=[("", ""), *models]),
        }
        for field in self.fields.values():
            field.required = False

    @property
    def wanted(self) -> Wanted:
        self.is_valid()
        return Wanted(**self.cleaned_data)

    @property
    def query(self) -> dict[str, str]:
        """What of the address counts, in one form: for the links to other pages."""
        self.is_valid()
        return {
            name: str(self.data[name])
            for name in self.cleaned_data
            if self.cleaned_data[name] not in ("", None, False)
        }


@require_safe
@login_required
@never_cache
def documents(request: HttpRequest) -> HttpResponse:
    project = project_of(signed_in(request), Role.CURATOR)
    form = Filter(request.GET, project)
    wanted = form.wanted
    found = find(project, wanted, place_in(request.GET))
    counts = Tally.objects.of(project)
    labels = dict(DocumentState.choices)
    context = {
        "project": project,
        "form": form,
        "filtered": any(name != "oldest_first" for name in form.query),
        "found": found,
        "many": MOST,
        "acts": ACTS,
        "states": [
            (labels[DocumentState(state)], count, link({"state": state}), state == wanted.state)
            for state, count in counts.items()
        ],
        "all_states": (sum(counts.values()), link({})),
        "previous": found.previous and link(form.query, found.previous),
        "next": found.next and link(form.query, found.next),
        "here": request.GET.urlencode(),
    }
    return render(request, "review/documents.html", context)


@require_POST
@login_required
def act(request: HttpRequest) -> HttpResponse:
    """One act for the ticked documents, or for all that match; then back to the same page."""
    user = signed_in(request)
    project = project_of(user, Role.CURATOR)
    here = request.POST.get("here", "")
    back = redirect(f"{reverse('documents')}?{QueryDict(here).urlencode()}")
    chosen = ACTS.get(request.POST.get("act", ""))
    if chosen is None:
        messages.error(request, _("Choose what to do with them. Nothing was changed."))
        return back
    if request.POST.get("all"):
        keys = keys_of(project, Filter(QueryDict(here), project).wanted)
        if keys is None or str(len(keys)) != request.POST["all"]:
            told = _("Other documents match by now. Look again; nothing was changed.")
            messages.error(request, told)
            return back
    else:
        name = "shown" if request.POST.get("page") else "document"
        ticked = map(str, request.POST.getlist(name))
        keys = [key for key in map(key_in, ticked) if key is not None][:MOST]
    if not keys:
        messages.error(request, _("Tick some documents first. Nothing was changed."))
        return back
    selection: DocumentQuerySet = project.documents.filter(pk__in=keys)
    outcome = chosen.verb(selection, user)
    if chosen.wakes_workers and outcome.changed:
        fill_queue()
    tell(request, chosen, outcome)
    return back


def tell(request: HttpRequest, chosen: Act, outcome: Outcome) -> None:
    """E.g. "Retire: 3 documents changed. Left as they were: 2 in use just now." """
    done = ngettext("%(n)d document changed.", "%(n)d documents changed.", outcome.changed)
    told = f"{chosen.name}: {done % {'n': outcome.changed}}"
    left = [f"{count} {why.value}" for why, count in outcome.left.items() if count > 0]
    if left:
        told += " " + _("Left as they were: %(why)s.") % {"why": ", ".join(left)}
    level = messages.SUCCESS if outcome.changed else messages.WARNING
    messages.add_message(request, level, told)


def link(query: dict[str, str], place: Place | None = None) -> str:
    """The address of the page with this filter, at this place."""
    if place is not None:
        query = {**query, "before" if place.before else "after": str(place.key)}
    return f"{reverse('documents')}?{urlencode(query)}" if query else reverse("documents")


def place_in(query: QueryDict) -> Place | None:
    """Where the address says that the page is; None, the first page, where it makes no sense."""
    for name in ("after", "before"):
        key = key_in(str(query.get(name, "")))
        if key is not None:
            return Place(key, before=name == "before")
    return None

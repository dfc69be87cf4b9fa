"""The tag list: its addresses, and the page with all tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Count, F, OrderBy, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from review.models import Note, Project, Tag, TagChange
from review.pipeline.tag_use import counted
from review.pipeline.vocabulary import NotAllowed, describe, last_change, plain

from . import tag_acts, tag_files, tag_past
from .site import InProject, entered_last, run_by, site
from .tag_acts import Ask, act, int_in, list_url, preview, show, tag_of

PAGE = 100
EDITED = ("description", "not_for")
SHOWN = {
    "": gettext_lazy("In use"),
    "retired": gettext_lazy("Retired or merged"),
    "all": gettext_lazy("All"),
}
ORDERS: dict[str, OrderBy] = {
    "name": F("name").asc(),
    "number": F("number").asc(),
    "proposed": F("use__proposed").desc(nulls_last=True),
    "picked": F("use__picked").desc(nulls_last=True),
    "in": F("use__corrected_in").desc(nulls_last=True),
    "out": F("use__corrected_out").desc(nulls_last=True),
    "used": F("use__last_used_at").desc(nulls_last=True),
    "notes": F("open_notes").desc(),
}


@admin.register(Tag, site=site)
class TagAdmin(InProject):
    """The pages are our own; the admin is the door, and its rules say who may."""

    search_fields = ["name"]

    def get_urls(self) -> list[URLPattern]:
        own: list[tuple[str, Callable[..., HttpResponse], str]] = [
            ("act/<str:verb>/", act, "act"),
            ("of/<int:project_id>/import/", tag_files.bring, "import"),
            ("of/<int:project_id>/export/<str:form>/", tag_files.take, "export"),
            ("of/<int:project_id>/suggestions/", tag_files.suggestions, "suggestions"),
            ("of/<int:project_id>/history/", tag_past.changes, "changes"),
            ("of/<int:project_id>/versions/", tag_past.versions, "versions"),
            ("changes/<int:change_id>/revert/", tag_past.revert_one, "revert"),
        ]
        views = [
            path(way, self.admin_site.admin_view(view), name=f"review_tag_{name}")
            for way, view, name in own
        ]
        return [*views, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        project = project_in(request)
        if project is None:  # a superuser, before the first project
            return redirect("admin:app_list", "review")
        if request.method == "POST" and "action" in request.POST:
            return to_act(request, project)
        if request.method == "POST":
            return save(request, project)
        return page(request, project)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        project = project_in(request)
        if project is None:
            return redirect("admin:app_list", "review")
        return tag_acts.add_one(request, project)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        tag = tag_of(request, object_id)
        if tag is None:
            return nowhere(request)
        return tag_acts.change_one(request, tag)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        tag = tag_of(request, object_id)
        if tag is None:
            return nowhere(request)
        return tag_past.of_tag(request, tag)


def nowhere(request: HttpRequest) -> HttpResponse:
    """As the admin does with a row that is not there."""
    messages.warning(request, _("There is no such tag."))
    return redirect("admin:index")


def project_in(request: HttpRequest) -> Project | None:
    """The project that the address names, if they run it; else the one that they entered last."""
    key = int_in(request.GET, "project", 0)
    named = run_by(request).filter(pk=key).first() if key else None
    return named or entered_last(request)


def page(request: HttpRequest, project: Project) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:200]
    chosen = request.GET.get("show", "")
    show_only = chosen if chosen in SHOWN else ""
    order = request.GET.get("o", "name")
    order = order if order in ORDERS else "name"
    tags = listed(project, query, "all" if query else show_only)
    rows = Paginator(tags.order_by(ORDERS[order], "name", "pk"), PAGE)
    here: dict[str, str | int] = {"project": project.pk, "q": query, "show": show_only, "o": order}

    def link(**other: str | int) -> str:
        return "?" + urlencode({name: value for name, value in {**here, **other}.items() if value})

    columns = [
        ("number", _("No."), ""),
        ("name", _("Name"), ""),
        ("", _("Description"), ""),
        ("", _("Not for"), ""),
        ("proposed", _("Proposed"), _("Proposals of the model with it in one of the sets")),
        ("picked", _("Picked"), _("Picks of a set with it")),
        ("in", _("In"), _("Given by a reviewer where no set had it")),
        ("out", _("Out"), _("Left out by a reviewer who gave a set of their own")),
        ("used", _("Last used"), ""),
        ("notes", _("Notes"), _("Open notes from reviewers")),
    ]
    found = rows.get_page(request.GET.get("p"))
    return show(
        request,
        "list",
        project,
        tags=found,
        columns=[(name, link(o=name), name == order, *told) for name, *told in columns],
        shown=[
            (called, link(show=key, q=""), key == show_only and not query)
            for key, called in SHOWN.items()
        ],
        query=query,
        order=order,
        show_only=show_only,
        others=run_by(request).exclude(pk=project.pk).order_by("name").distinct(),
        counted=counted(),
        seen=last_change(project),
        previous=link(p=found.previous_page_number()) if found.has_previous() else "",
        next=link(p=found.next_page_number()) if found.has_next() else "",
        here=link(p=found.number),
    )


def listed(project: Project, query: str, shown: str) -> QuerySet[Tag]:
    """The tags with their open notes counted; searched in everything that is said of them."""
    notes = Note.objects.filter(tag=OuterRef("pk"), done_at=None).order_by().values("tag")
    tags: QuerySet[Tag] = project.tags.select_related("use", "merged_into", "parent").annotate(
        open_notes=Coalesce(Subquery(notes.annotate(count=Count("pk")).values("count")), 0)
    )
    if query:
        # Here, not in the database: SQLite does not know the case of letters beyond English.
        words = [plain(word) for word in query.split()]
        keys = [
            tag.pk
            for tag in project.tags.all()
            if all(any(word in plain(text) for text in texts_of(tag)) for word in words)
        ]
        tags = tags.filter(pk__in=keys)
    in_use = Q(retired_at=None, merged_into=None)
    return tags if shown == "all" else tags.exclude(in_use) if shown else tags.filter(in_use)


def texts_of(tag: Tag) -> list[str]:
    return [str(tag.number), tag.name, tag.description, tag.not_for, *map(str, tag.synonyms)]


def to_act(request: HttpRequest, project: Project) -> HttpResponse:
    """On to the act for the ticked tags."""
    verb = request.POST["action"]
    keys = [key for key in map(str, request.POST.getlist("tag")) if key.isdecimal()]
    if verb not in tag_acts.ACTS or not keys:
        messages.error(request, _("Tick some tags, and choose what to do with them."))
        return redirect(list_url(project))
    ticked = urlencode({"tag": keys}, doseq=True)
    return redirect(f"{reverse('admin:review_tag_act', args=[verb])}?{ticked}")


def save(request: HttpRequest, project: Project) -> HttpResponse:
    """The texts that were edited in the list: their preview, then the act."""
    changes, lost = edited(project, request.POST)
    for tag in lost:
        told = _("“%(tag)s” was changed by someone else meanwhile: it is left as it is now.")
        messages.error(request, told % {"tag": tag})
    back = f"{request.path}?{request.GET.urlencode()}"
    kept = [
        (f"{name}-{number}", text)
        for number, texts in changes.items()
        for name, text in texts.items()
    ]
    loaded = ("loaded", str(request.POST.get("loaded", "")))
    ask = Ask(lambda tags: describe(tags, changes), back, [*kept, loaded], back)
    try:
        return preview(request, project, ask)
    except NotAllowed as problem:
        messages.error(request, str(problem))
        return redirect(back)


def edited(project: Project, fields: QueryDict) -> tuple[dict[int, dict[str, str]], list[Tag]]:
    """By number: the texts that differ; and the tags that changed since the page was loaded."""
    loaded = int_in(fields, "loaded", 0)
    since = TagChange.objects.filter(change__project=project, change__gt=loaded)
    changed_since = set(since.values_list("tag", flat=True))
    changes: dict[int, dict[str, str]] = {}
    lost = []
    for tag in project.tags.all():
        texts = {}
        for name in EDITED:
            text = fields.get(f"{name}-{tag.number}")
            if text is not None:
                text = " ".join(str(text).split())
                if text != getattr(tag, name):
                    texts[name] = text
        if texts and tag.pk in changed_since:
            lost.append(tag)
        elif texts:
            changes[tag.number] = texts
    return changes, lost

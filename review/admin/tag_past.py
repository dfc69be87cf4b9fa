"""What became of the tag list: its changes, who made them, its versions."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from review.models import Tag, VocabularyChange, VocabularyVersion
from review.pipeline.versions import differences
from review.pipeline.vocabulary import NotAllowed, from_json, revert

from .site import run_by
from .tag_acts import Ask, Difference, difference, int_in, preview, project_for, show

PAGE = 50  # changes
MOST_TOLD = 5  # tags of a change
MOST_VERSIONS = 200


def changes(request: HttpRequest, project_id: int) -> HttpResponse:
    """All changes of the list, newest first; `?before=` those before one."""
    project = project_for(request, project_id)
    found = project.changes.select_related("curator", "version", "reverts").order_by("-pk")
    if before := int_in(request.GET, "before", 0):
        found = found.filter(pk__lt=before)
    page = list(found.prefetch_related("tags__tag", "reverted_by")[: PAGE + 1])
    older = page[PAGE - 1].pk if len(page) > PAGE else None
    names = dict(project.tags.values_list("number", "name"))
    told = [(change, told_of(change, names)) for change in page[:PAGE]]
    return show(request, "history", project, changes=told, older=older, before=before)


def of_tag(request: HttpRequest, tag: Tag) -> HttpResponse:
    """The changes of one tag."""
    project = tag.project
    found = project.changes.filter(tags__tag=tag).select_related("curator", "version", "reverts")
    page = found.order_by("-pk").prefetch_related("tags__tag", "reverted_by")[:PAGE]
    names = dict(project.tags.values_list("number", "name"))
    told = [(change, told_of(change, names, tag)) for change in page]
    return show(request, "history", project, changes=told, tag=tag)


def told_of(
    change: VocabularyChange, names: Mapping[int, str], tag: Tag | None = None
) -> list[Difference]:
    """What it did, to one tag, or to the first ones."""
    rows = [row for row in change.tags.all() if tag is None or row.tag_id == tag.pk]
    return [
        difference(
            None if row.before is None else from_json(row.before),
            row.tag.number,
            from_json(row.after),
            names,
        )
        for row in rows[:MOST_TOLD]
    ]


def revert_one(request: HttpRequest, change_id: int) -> HttpResponse:
    """What the change did is taken back, as a new change."""
    change = get_object_or_404(VocabularyChange, pk=change_id, project__in=run_by(request))
    project = change.project
    back = reverse("admin:review_tag_changes", args=[project.pk])
    ask = Ask(lambda tags: revert(tags, change), request.path, [], back)
    try:
        return preview(request, project, ask)
    except NotAllowed as problem:
        messages.error(request, str(problem))
        return redirect(back)


def versions(request: HttpRequest, project_id: int) -> HttpResponse:
    """Two versions side by side: `?a=1&b=2`; else the last two."""
    project = project_for(request, project_id)
    known = list(project.versions.defer("tags").order_by("-pk")[:MOST_VERSIONS])
    a = int_in(request.GET, "a", known[1].pk if len(known) > 1 else 0)
    b = int_in(request.GET, "b", known[0].pk if known else 0)
    pair = VocabularyVersion.objects.filter(project=project).in_bulk([a, b])
    found = differences(pair[a], pair[b]) if a in pair and b in pair else None
    return show(request, "versions", project, versions=known, a=a, b=b, found=found)

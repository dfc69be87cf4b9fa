"""Notes: a reviewer leaves one beside a document, a curator reads them and says what is done."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.models import Decision, Document, Note, Project, Role
from review.models.key import key_in
from review.pipeline import note as verbs

from .access import project_of, signed_in
from .shown import ShownCandidate, ShownTag

PAGE = 50  # notes
LOOKED_BACK = 5_000  # decisions that are searched for reasons: few have one


def noted_tags(candidates: Iterable[ShownCandidate]) -> list[ShownTag]:
    """The tags on the page, each once: a note may be about one of them."""
    return list({tag.number: tag for one in candidates for tag in one.tags}.values())


@require_POST
@login_required
def add(request: HttpRequest) -> HttpResponse:
    """`about` is "document", "vocabulary", or the number of a tag.

    Answers a script with a sentence, which is the error where the status is 422; a form
    without one with the page that it came from.
    """
    user = signed_in(request)
    documents = Document.objects.select_related("project").defer("text", "html")
    document = get_object_or_404(
        documents,
        pk=key_in(request.POST.get("document", "")),
        project__memberships__user=user,
    )
    about = request.POST.get("about", "")
    tag = None
    if about.isdecimal() and len(about) < 10:
        tag = get_object_or_404(document.project.tags, number=int(about))
    try:
        verbs.leave(
            document.project,
            user,
            request.POST.get("text", ""),
            document=None if about == "vocabulary" else document,
            tag=tag,
        )
    except verbs.NotANote as problem:
        return HttpResponse(str(problem), status=422, content_type="text/plain; charset=utf-8")
    if request.headers.get("HX-Request"):
        return HttpResponse(_("Sent to the curator."), content_type="text/plain; charset=utf-8")
    back = reverse("queue")
    if request.POST.get("from") == "page":
        back = reverse("document_page", args=[document.external_id])
    return redirect(f"{back}?noted=1#note")


@require_safe
@login_required
@never_cache
def notes(request: HttpRequest) -> HttpResponse:
    """Newest first. `?done=1` shows those that are done, `?before=123` those older than one."""
    project = project_of(signed_in(request), Role.CURATOR)
    done = request.GET.get("done") == "1"
    before = key_in(request.GET.get("before", ""))
    found = project.notes.filter(done_at__isnull=not done)
    if before is not None:
        found = found.filter(pk__lt=before)
    page = list(
        found.select_related("document", "tag", "author", "done_by")
        .defer("document__text", "document__html")
        .order_by("-pk")[: PAGE + 1]
    )
    context = {
        "project": project,
        "notes": page[:PAGE],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "done": done,
        "before": before,
        "open_count": verbs.open_notes(project),
        "reasons": [] if done or before else reasons_of(project),
    }
    return render(request, "review/notes.html", context)


def reasons_of(project: Project) -> list[Decision]:
    """What people wrote with a skip or a "none fits" lately."""
    last = Decision.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    lately = Decision.objects.filter(pk__gt=last - LOOKED_BACK, document__project=project)
    return list(
        lately.exclude(note="")
        .select_related("document", "reviewer")
        .defer("document__text", "document__html")
        .order_by("-pk")[:PAGE]
    )


@require_POST
@login_required
def done(request: HttpRequest, note_id: int) -> HttpResponse:
    user = signed_in(request)
    project = project_of(user, Role.CURATOR)
    verbs.finish(get_object_or_404(Note, pk=note_id, project=project), user)
    return redirect("notes")


@require_POST
@login_required
def reopen(request: HttpRequest, note_id: int) -> HttpResponse:
    project = project_of(signed_in(request), Role.CURATOR)
    verbs.reopen(get_object_or_404(Note, pk=note_id, project=project))
    return redirect(f"{reverse('notes')}?done=1")

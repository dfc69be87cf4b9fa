"""Documents come in: a curator brings a file or an address, and sees what became of it."""

from __future__ import annotations

import csv
import difflib
import uuid
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import BadRequest
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, SkipFile, StopUpload
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from review.models import DocumentRevision, Import, ImportState, Project, Role
from review.models.key import key_in
from review.pipeline import importing, revise
from review.pipeline.intake import MOST_PROBLEMS
from review.readers import Refused
from review.readers.row import FIELDS
from review.tasks import fill_queue, tell_importers

from .access import project_of, signed_in

PAGE = 50  # imports, or texts that have changed
SHOWN = 100  # problems and duplicates of one import; all problems are in the file
COMPARED = 2000  # lines of each of two texts

FIELD_NAMES = {
    "id": lambda: _("Id"),
    "text": lambda: _("Text"),
    "title": lambda: _("Title"),
    "source": lambda: _("Source"),
}


class ToDisk(FileUploadHandler):
    """A file goes straight to where it is kept; what is too large is not read to its end."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        folder = importing.upload_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f"{uuid.uuid4().hex}.part"
        self.size = 0
        self.too_large = False

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        if self.path.exists():
            raise SkipFile  # one is asked for
        super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.size += len(raw_data)
        if self.size > settings.MAX_UPLOAD_BYTES:
            self.too_large = True
            raise StopUpload(connection_reset=True)
        with self.path.open("ab") as file:
            file.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile[bytes] | None:
        return UploadedFile(name=self.file_name, size=file_size) if file_size else None


@require_safe
@login_required
@never_cache
def imports(request: HttpRequest) -> HttpResponse:
    """The imports, newest first; `?before=123` those older than one."""
    return listing(request, project_of(signed_in(request), Role.CURATOR))


def listing(request: HttpRequest, project: Project, problem: str = "") -> HttpResponse:
    found = project.imports.select_related("user").order_by("-pk")
    before = key_in(request.GET.get("before", ""))
    if before is not None:
        found = found.filter(pk__lt=before)
    page = list(found[: PAGE + 1])
    context = {
        "project": project,
        "imports": page[:PAGE],
        "older": page[PAGE - 1].pk if len(page) > PAGE else None,
        "changed": revise.changed_since_review(project).count(),
        "most_bytes": settings.MAX_UPLOAD_BYTES,
        "problem": problem,
        "url": request.POST.get("url", "") if problem else "",
    }
    return render(request, "review/imports.html", context, status=422 if problem else 200)


# The token is in the form, behind a file that must not be read before its reader is known.
@csrf_exempt
@require_POST
@login_required
@never_cache
def bring(request: HttpRequest) -> HttpResponse:
    """A file or an address; then to its import's page."""
    project = project_of(signed_in(request), Role.CURATOR)
    handler = ToDisk(request)
    request.upload_handlers = [handler]
    try:
        return _bring(request, project, handler)
    finally:
        handler.path.unlink(missing_ok=True)  # of what was not taken


@csrf_protect
def _bring(request: HttpRequest, project: Project, handler: ToDisk) -> HttpResponse:
    user = signed_in(request)
    url = request.POST.get("url", "").strip()
    if handler.too_large:
        told = _("The file has more than the %(most)s MB that are allowed.")
        most = f"{settings.MAX_UPLOAD_BYTES / 1e6:g}"
        return listing(request, project, told % {"most": most})
    if handler.path.exists() and "file" in request.FILES:
        record = importing.bring_file(project, user, handler.file_name or "", handler.path)
    elif url.startswith(("http://", "https://")) and len(url) < 2000:
        record = importing.bring_page(project, user, url)
    else:
        told = _("Choose a file that is not empty, or give an address that begins with https://.")
        return listing(request, project, told)
    tell_importers()
    return redirect("import", record.pk)


@require_safe
@login_required
@never_cache
def page(request: HttpRequest, import_id: int) -> HttpResponse:
    return show(request, import_for(request, import_id))


def show(request: HttpRequest, record: Import, problem: str = "") -> HttpResponse:
    context: dict[str, Any] = {"project": record.project, "import": record, "problem": problem}
    if record.state == ImportState.ASKING:
        try:
            table = importing.table_of(record)
        except Refused as refused:
            context["problem"] = str(refused)
        else:
            chosen = record.columns
            context["rows"] = [[cell[:200] for cell in row] for row in table.rows]
            context["header"] = table.header
            context["fields"] = [
                (name, FIELD_NAMES[name](), chosen.get(name, "")) for name in FIELDS
            ]
    else:
        links = record.duplicate_links.select_related("document", "first").order_by("pk")
        read = ("external_id", "title")
        context |= {
            "columns": [(FIELD_NAMES[name](), name_there) for name, name_there in columns(record)],
            "problems": record.problems.order_by("pk")[:SHOWN],
            "more_problems": max(0, record.failed - SHOWN),
            "kept_problems": MOST_PROBLEMS,
            "duplicates": links.only(
                *(f"{one}__{name}" for one in ("document", "first") for name in read)
            )[:SHOWN],
            "changed": record.revisions.filter(waits=True).count(),
        }
    return render(request, "review/import.html", context, status=422 if problem else 200)


def columns(record: Import) -> list[tuple[str, str]]:
    return [(name, record.columns[name]) for name in FIELDS if name in record.columns]


@require_safe
@login_required
@never_cache
def progress(request: HttpRequest, import_id: int) -> HttpResponse:
    """The part of the page that moves; once nothing moves any more, the whole page anew."""
    record = import_for(request, import_id)
    answer = render(request, "review/_import.html", {"import": record})
    if not record.moves:
        answer["HX-Refresh"] = "true"
    return answer


@require_POST
@login_required
@never_cache
def answer_columns(request: HttpRequest, import_id: int) -> HttpResponse:
    record = import_for(request, import_id)
    chosen = {name: request.POST.get(name, "") for name in FIELDS}
    try:
        importing.answer_columns(record, chosen)
    except (importing.NotColumns, Refused) as problem:
        record.columns = chosen
        return show(request, record, str(problem))
    tell_importers()
    return redirect("import", record.pk)


@require_POST
@login_required
def stop(request: HttpRequest, import_id: int) -> HttpResponse:
    record = import_for(request, import_id)
    if importing.stop(record):
        messages.success(request, _("It was stopped. What is loaded stays."))
    return redirect("import", record.pk)


@require_safe
@login_required
def problems_csv(request: HttpRequest, import_id: int) -> StreamingHttpResponse:
    record = import_for(request, import_id)

    class Line:
        def write(self, line: str) -> str:
            return line

    def lines() -> Iterator[str]:
        writer = csv.writer(Line())
        yield "\ufeff" + writer.writerow(["line", "id", "field", "reason"])
        for problem in record.problems.order_by("pk").iterator():
            row = [problem.line or "", problem.external_id, problem.field, problem.reason]
            yield writer.writerow([neutral(str(cell)) for cell in row])

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="import-{record.pk}-errors.csv"'
    return answer


def neutral(cell: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def import_for(request: HttpRequest, import_id: int) -> Import:
    project = project_of(signed_in(request), Role.CURATOR)
    return get_object_or_404(project.imports.select_related("project", "user"), pk=import_id)


@require_safe
@login_required
@never_cache
def changed(request: HttpRequest) -> HttpResponse:
    """The documents whose text has changed since they were reviewed; `?import=5` those of one."""
    project = project_of(signed_in(request), Role.CURATOR)
    waiting = revise.changed_since_review(project).defer("text", "document__text", "document__html")
    of = key_in(request.GET.get("import", ""))
    if of is not None:
        waiting = waiting.filter(intake=of)
    count = waiting.count()
    context = {
        "project": project,
        "revisions": waiting[:PAGE],
        "count": count,
        "of": "" if of is None else str(of),
        "last": waiting.order_by("-pk").values_list("pk", flat=True).first(),
    }
    return render(request, "review/changed.html", context)


@require_safe
@login_required
@never_cache
def changed_text(request: HttpRequest, revision_id: int) -> HttpResponse:
    """The old text and the new one, line by line."""
    revision = revision_for(request, revision_id)
    old, new = revision.document.text.splitlines(), revision.text.splitlines()
    too_long = max(len(old), len(new)) > COMPARED
    lines = [] if too_long else difflib.unified_diff(old, new, lineterm="", n=3)
    context = {
        "project": revision.document.project,
        "revision": revision,
        "too_long": too_long,
        "lines": [(line[:1], line[1:]) for line in list(lines)[2:]],
    }
    return render(request, "review/changed_text.html", context)


@require_POST
@login_required
def answer_changed(request: HttpRequest) -> HttpResponse:
    """`act` is "again" or "keep"; for one `revision`, or for all of an `import` up to `last`."""
    user = signed_in(request)
    project = project_of(user, Role.CURATOR)
    act = request.POST.get("act", "")
    if act not in ("again", "keep"):
        raise BadRequest
    waiting = revise.changed_since_review(project)
    names = ("revision", "last", "import")
    one, last, of = (key_in(request.POST.get(name, "")) for name in names)
    if one is not None:
        waiting = waiting.filter(pk=one)
    elif last is not None:
        waiting = waiting.filter(pk__lte=last)
        waiting = waiting.filter(intake=of) if of is not None else waiting
    else:
        raise BadRequest
    done = 0
    for key in list(waiting.values_list("pk", flat=True)):
        revision = waiting.filter(pk=key).first()
        if revision is not None:
            again = act == "again"
            done += (
                revise.review_again(revision, user) if again else revise.keep_decisions(revision)
            )
    if act == "again":
        fill_queue()
        told = ngettext("%(n)d will be reviewed again.", "%(n)d will be reviewed again.", done)
    else:
        told = ngettext("%(n)d keeps its decisions.", "%(n)d keep their decisions.", done)
    messages.success(request, told % {"n": done})
    return redirect("changed")


def revision_for(request: HttpRequest, revision_id: int) -> DocumentRevision:
    project = project_of(signed_in(request), Role.CURATOR)
    waiting = revise.changed_since_review(project).select_related("document__project")
    return get_object_or_404(waiting, pk=revision_id)

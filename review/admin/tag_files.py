"""The tag list from a file and as a file; and what the data suggest."""

from __future__ import annotations

import base64
import binascii
import zlib

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from review.models import Project
from review.pipeline import suggest
from review.pipeline.tag_list import FORMATS, Comparison, compare, export
from review.pipeline.tag_use import counted
from review.pipeline.vocabulary import NotAllowed, Plan, TagList, read
from review.readers import Refused
from review.readers.tag_file import LARGEST, read_tags

from .tag_acts import Ask, list_url, preview, project_for, show


def bring(request: HttpRequest, project_id: int) -> HttpResponse:
    """A file → its bad rows, if any, or its difference from the list → the act."""
    project = project_for(request, project_id)
    if request.method != "POST":
        return show(request, "import", project)
    problem = ""
    try:
        name, data = sent(request)
        rows = read_tags(data, name)
        retire = bool(request.POST.get("retire_absent"))
        found = compare(read(project), rows, retire)
        if found.plan is None or (found.bad and not request.POST.get("good")):
            carried = [("name", name), ("packed", pack(data))] + [("retire_absent", "1")] * retire
            return show(request, "import", project, found=found, carried=carried, name=name)

        def make(tags: TagList) -> Plan:
            again = compare(tags, rows, retire).plan
            if again is None:
                raise NotAllowed(_("Nothing would change."))
            return again

        return preview(request, project, asked(request, project, name, data, make, found))
    except (Refused, NotAllowed) as refused:
        problem = str(refused)
    return show(request, "import", project, problem=problem)


def asked(
    request: HttpRequest, project: Project, name: str, data: bytes, make: object, found: Comparison
) -> Ask:
    kept = [("name", name), ("packed", pack(data))]
    kept += [(field, "1") for field in ("retire_absent", "good") if request.POST.get(field)]
    back = reverse("admin:review_tag_import", args=[project.pk])
    return Ask(make, request.path, kept, back, {"found": found})  # type: ignore[arg-type]


def sent(request: HttpRequest) -> tuple[str, bytes]:
    """The file's name and bytes: as it came, or as the preview sends them again."""
    file = request.FILES.get("file")
    if file is not None:
        if (file.size or 0) > LARGEST:
            raise Refused(_("The file has more than %(mb)g MB.") % {"mb": LARGEST / 1e6})
        return str(file.name), file.read()
    packed = request.POST.get("packed", "")
    if not packed:
        raise Refused(_("Choose a file first."))
    return request.POST.get("name", "")[:200], unpack(packed)


def pack(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def unpack(packed: str) -> bytes:
    """Raises Refused for what `pack` has not made; unpacks no more than a file may have."""
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(packed), LARGEST + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Refused(_("Choose the file again.")) from error
    return data


def take(request: HttpRequest, project_id: int, form: str) -> HttpResponse:
    """The list as a file."""
    project = project_for(request, project_id)
    if form not in FORMATS:
        raise Http404
    kind = FORMATS[form]
    answer = HttpResponse(export(project, form), content_type=kind.content_type)
    answer["Content-Disposition"] = f'attachment; filename="{kind.file_name}"'
    return answer


def suggestions(request: HttpRequest, project_id: int) -> HttpResponse:
    project = project_for(request, project_id)
    return show(
        request,
        "suggestions",
        project,
        counted=counted(),
        idle=suggest.never_used(project),
        swapped=suggest.swapped(project),
        none_fitted=suggest.none_fitted(project),
        missing=suggest.missing(project),
        decisions=suggest.LATELY,
        documents=suggest.READ,
        back=list_url(project),
    )

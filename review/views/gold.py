"""Gold, for curators: which documents' answers are known, and who did not know them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review.insight import gold as insight
from review.insight.gold import Measured, TagSet, Verdict
from review.models import Document, DocumentState, Gold, Project, Role
from review.models.key import key_in
from review.pipeline import gold
from review.pipeline.gold import MOST_ACCEPTABLE
from review.pipeline.refusal import Conflict, NotATagSet
from review.pipeline.tags_out import final_tags

from .access import project_of, signed_in

ON_A_PAGE = 50
MOST_WRONG = 50  # decisions, the latest


@dataclass(frozen=True)
class Wrong:
    """A decision that was neither right nor acceptable."""

    measured: Measured
    document: Document
    given: list[str]
    best: list[str]


@dataclass(frozen=True)
class Shown:
    """A gold document. best, acceptable: the tags' names as they are now."""

    gold: Gold
    best: list[str]
    acceptable: list[list[str]]
    measured: int = 0
    wrong: int = 0


@require_safe
@login_required
@never_cache
def golds(request: HttpRequest) -> HttpResponse:
    """`?after=5` the documents after that one; `?reviewer=alice` only the errors of that person."""
    project = project_of(signed_in(request), Role.CURATOR)
    found = insight.measured(project)
    whose = request.GET.get("reviewer", "")
    wrong = [one for one in found if one.verdict == Verdict.WRONG]
    after = key_in(request.GET.get("after", "")) or 0
    rows = gold.live().filter(document__project=project, document__gt=after)
    whole = rows.select_related("document", "by").defer("document__text", "document__html")
    page = list(whole.order_by("document")[: ON_A_PAGE + 1])
    context = {
        "project": project,
        "people": insight.accuracies(found),
        "lately": insight.LATELY,
        "whose": whose,
        "wrong": shown_wrong(project, [one for one in wrong if whose in ("", one.reviewer)]),
        "golds": shown_golds(project, page[:ON_A_PAGE], found),
        "count": gold.live().filter(document__project=project).count(),
        "more": page[ON_A_PAGE - 1].document_id if len(page) > ON_A_PAGE else None,
    }
    return render(request, "review/gold.html", context)


def shown_wrong(project: Project, wrong: Sequence[Measured]) -> list[Wrong]:
    """The latest first."""
    latest = list(reversed(wrong))[:MOST_WRONG]
    documents = Document.objects.defer("text", "html").in_bulk({one.document for one in latest})
    answers = insight.known(project)
    names = dict(project.tags.values_list("pk", "name"))

    def named(tags: TagSet) -> list[str]:
        return sorted(names[tag] for tag in tags)

    return [
        Wrong(one, documents[one.document], named(one.given), named(answers[one.document].best))
        for one in latest
    ]


def shown_golds(
    project: Project, rows: Sequence[Gold], found: Sequence[Measured] = ()
) -> list[Shown]:
    tags = names_of(project)
    told = [one for one in found if one.verdict != Verdict.SKIPPED]
    measured = Counter(one.document for one in told)
    wrong = Counter(one.document for one in told if one.verdict == Verdict.WRONG)
    return [
        Shown(
            row,
            named(row.best, tags),
            [named(one, tags) for one in row.acceptable],
            measured[row.document_id],
            wrong[row.document_id],
        )
        for row in rows
    ]


def names_of(project: Project) -> dict[int, str]:
    """By their numbers; of a tag that was merged, the name of what it has become."""
    tags = list(project.tags.all())
    ends = project.tags.ends()
    names = {tag.pk: tag.name for tag in tags}
    return {tag.number: names[ends.get(tag.pk, tag.pk)] for tag in tags}


def named(numbers: Iterable[int], names: dict[int, str]) -> list[str]:
    """In the set's order; two tags that were merged into one are named once."""
    return list(dict.fromkeys(names[number] for number in numbers if number in names))


@require_safe
@login_required
@never_cache
def gold_document(request: HttpRequest, document_id: int) -> HttpResponse:
    """What is known of it, or the form to say so, filled with the tags that stand."""
    return page_for(request, document_at(signed_in(request), document_id))


@require_POST
@login_required
@never_cache
def mark(request: HttpRequest, document_id: int) -> HttpResponse:
    user = signed_in(request)
    document = document_at(user, document_id)
    sets = [given(request, name) for name in names_of_fields()]
    none = "none" in request.POST
    try:
        if bool(sets[0]) == none:
            raise NotATagSet(
                _("Give the right tags, or say that no tag fits; not both.")
                if none
                else _("Give the right tags, or say that no tag fits.")
            )
        known = gold.tags_of(document.project)
        best, *others = [gold.tags_named(known, one) for one in sets]
        gold.mark(document, best, [one for one in others if one], user)
    except NotATagSet as problem:
        return page_for(request, document, str(problem), sets, none, status=422)
    messages.success(request, _("It is gold: its answer is kept."))
    return redirect("gold_document", document.pk)


@require_POST
@login_required
def withdraw(request: HttpRequest, document_id: int) -> HttpResponse:
    user = signed_in(request)
    document = document_at(user, document_id)
    try:
        gold.withdraw(document, user)
    except Conflict as conflict:
        messages.error(request, str(conflict))
    else:
        messages.success(request, _("It is gold no more: nobody is measured by it."))
    return redirect("gold_document", document.pk)


def document_at(user: User, document_id: int) -> Document:
    """The document of the curator's project; else 404."""
    project = project_of(user, Role.CURATOR)
    whole = Document.objects.select_related("project").defer("text", "html")
    return get_object_or_404(whole, pk=document_id, project=project)


def names_of_fields() -> list[str]:
    return ["best", *(f"acceptable-{place}" for place in range(1, MOST_ACCEPTABLE + 1))]


def given(request: HttpRequest, name: str) -> list[str]:
    """What was written into the fields of one set."""
    values = request.POST.getlist(name)[:10]
    return [value.replace("\0", "").strip()[:200] for value in values if value.strip()]


def page_for(
    request: HttpRequest,
    document: Document,
    problem: str = "",
    written: Sequence[Sequence[str]] = (),
    none: bool = False,
    status: int = 200,
) -> HttpResponse:
    """The form: with what was written, else with what is known, else with the tags that stand."""
    project = document.project
    past = list(Gold.objects.filter(document=document).select_related("by").order_by("-pk"))
    last = past[0] if past and past[0].current and not past[0].withdrawn else None
    if not written:
        names = names_of(project)
        written = [[tag.name for tag in final_tags(document)]]
        if last:
            written = [named(one, names) for one in (last.best, *last.acceptable)]
            none = not last.best
        elif document.state == DocumentState.REVIEWED:
            none = not written[0]
    context = {
        "project": project,
        "document": document,
        "gold": last,
        "past": shown_golds(project, past),
        "best": filled(written[0], project.max_tags),
        "acceptable": [
            (name, place, filled(written[place] if place < len(written) else [], project.max_tags))
            for place, name in enumerate(names_of_fields()[1:], start=1)
        ],
        "has_acceptable": any(written[1:]),
        "none": none,
        "tags": project.tags.active(),
        "problem": problem,
    }
    return render(request, "review/gold_document.html", context, status=status)


def filled(written: Sequence[str], most: int) -> list[str]:
    """The values of so many fields."""
    return [*written, *[""] * most][: max(most, len(written))]

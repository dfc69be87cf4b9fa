"""Every pick improves the next proposal: like documents with their final tags join its prompt.

Each process keeps the reviewed documents of a project in a `Pool`, in memory. Before it is asked
it takes in what was decided since, and a part of what was decided before the process began. The
pool says which documents are like this one; what their tags are is read from the database at
that moment, so nothing that was taken back, merged or retired is shown.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from review.llm.likeness import Example, Pool
from review.models import Decision, DecisionKind, Document, DocumentState, Project
from review.models.decision import REVIEWS

from .exam import side_of
from .tags_out import Wanted, tagged

MOST = 20_000  # documents of a project: the latest
AT_ONCE = 200  # of those from before, at each call: each costs 3 ms
OVERLAP = 50  # decisions looked at again: one with a lower number may be committed later
SPARE = 8  # neighbours more than asked for: some may be reviewed no longer

Similar = Callable[[str, str, int], Sequence[Example]]  # of a title, a text: at most so many


@dataclass
class Learned:
    """What this process has of one project. kept: the text and last decision of each document."""

    pool: Pool = field(default_factory=Pool)
    kept: dict[int, tuple[str, int]] = field(default_factory=dict)
    last: int | None = None  # the last decision that was looked at
    before: list[tuple[int, int]] = field(default_factory=list)  # still to take in, latest last
    lock: threading.Lock = field(default_factory=threading.Lock)


_learned: dict[int, Learned] = {}


def forget() -> None:
    """Know nothing, as at the start."""
    _learned.clear()


def similar(
    project: Project,
    title: str,
    text: str,
    count: int,
    besides: Document | None = None,
    news: bool = True,
) -> list[Example]:
    """The reviewed documents of the project most like this one, the likest first.

    Never the document itself, nor one with its text or nearly so; none that only a machine let
    through, none on which no tag fits, and none of those that `evaluate` measures with.
    news: False where the caller has asked with it a moment ago.
    """
    learned = _learned.setdefault(project.pk, Learned())
    with learned.lock:
        if news or learned.before:
            _take_in_news(project, learned)
    own = {str(besides.pk)} if besides else set()
    found = learned.pool.nearest(title, text, count + SPARE, own)
    if not found:
        return []
    reviewed = {
        str(one.document.pk): one
        for one in tagged(project, Wanted(keys=[int(example.id) for example in found]))
        if one.tags and not one.unseen
    }
    same_text = hashlib.sha256(text.encode()).hexdigest()
    examples = []
    for example in found:
        one = reviewed.get(example.id)
        if one is None or one.document.sha256 == same_text:
            continue
        if one.document.sha256 != learned.kept.get(one.document.pk, ("", 0))[0]:
            learned.before.append((0, one.document.pk))  # it has another text now: next time
            continue
        tags = tuple(tag.name for tag in one.tags if tag.retired_at is None)
        if tags:
            examples.append(replace(example, tags=tags))
    return examples[:count]


def why(project: Project, title: str, text: str, example: Example) -> list[str]:
    """The words for which the example was chosen, the weightiest first."""
    learned = _learned.get(project.pk)
    return learned.pool.shared(title, text, example.id) if learned else []


def _take_in_news(project: Project, learned: Learned) -> None:
    """What was decided since the last time; and, of what was before, the next part."""
    decisions = Decision.objects.by_people().filter(
        document__project=project, kind__in=[*REVIEWS, DecisionKind.SETTLE]
    )
    if learned.last is None:
        latest = decisions.filter(document__state=DocumentState.REVIEWED).order_by("-pk")
        places = latest.values_list("pk", "document")[: 2 * MOST]
        firsts = {document: pk for pk, document in reversed(places)}  # of several the latest
        learned.before = sorted((pk, document) for document, pk in firsts.items())[-MOST:]
        learned.last = Decision.objects.order_by("pk").values_list("pk", flat=True).last() or 0
        news = {}
    else:
        since = decisions.filter(pk__gt=learned.last - OVERLAP).order_by("pk")
        news = {document: pk for pk, document in since.values_list("pk", "document")}
        learned.last = max([learned.last, *news.values()])
    while learned.before and len(news) < AT_ONCE:
        pk, document = learned.before.pop()
        news.setdefault(document, pk)
    if news:
        _take_in(project, learned, news)


def _take_in(project: Project, learned: Learned, news: dict[int, int]) -> None:
    """news: the last decision on each document."""
    reviewed = project.documents.filter(pk__in=news, state=DocumentState.REVIEWED)
    wanted = {
        key: sha256
        for key, sha256 in reviewed.values_list("pk", "sha256")
        if learned.kept.get(key, ("", 0))[0] != sha256 and side_of(sha256) == "train"
    }
    if not wanted:
        return
    texts = Document.objects.filter(pk__in=wanted).values_list("pk", "title", "text")
    rows = [(str(key), title, text, ()) for key, title, text in texts]
    learned.kept |= {key: (sha256, news[key]) for key, sha256 in wanted.items()}
    learned.pool.add(rows, _oldest(learned))


def _oldest(learned: Learned) -> Collection[str]:
    """Those that there is no room for any more; they are forgotten."""
    over = len(learned.kept) - MOST
    if over <= 0:
        return ()
    oldest = sorted(learned.kept, key=lambda key: learned.kept[key][1])[:over]
    for key in oldest:
        del learned.kept[key]
    return {str(key) for key in oldest}

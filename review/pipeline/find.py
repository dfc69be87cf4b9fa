"""Documents for a curator: by what they say and by what became of them, a page at a time.

A page costs about the same among a hundred documents and among a million (docs/decisions/0006).
The filters are asked first for any 1,001 ids, in no order. If there are no more than 1,000, they
are all known: how many, and which come when. If there are more, the page is read in order until
it is full.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Left

from review.models import (
    Document,
    DocumentState,
    Project,
    Proposal,
    Purpose,
    Standing,
    Suspicion,
    Tag,
)
from review.models.decision import MACHINE
from review.models.document import DocumentQuerySet
from review.models.vocabulary import end_of

PAGE = 50
MOST = 1000  # documents that are counted, and that one act may be for
NEAR = 10_000  # keys from a place on that are read one by one
SEARCHED = 500  # characters of a text, from its start; also in migration 0004
MOST_WORDS = 10


@dataclass(frozen=True)
class Wanted:
    """A filter: what is not given does not matter. Fields combine by "and".

    words: all of them are in the title, the id or the start of the text. On PostgreSQL these are
    whole words (or single Chinese and Japanese characters in a row), on SQLite any parts.
    """

    state: str = ""
    tag: Tag | None = None  # one of its final tags
    reviewer: User | None = None  # has decided on it, and not taken it back
    model: str = ""  # whose candidates are the current ones
    disagreement: float | None = None  # at least so much
    pinned: bool = False
    unseen: bool = False  # let through without a review
    suspicious: bool = False  # speaks to the model
    words: str = ""
    begins: str = ""  # of the id
    oldest_first: bool = False

    @property
    def unordered(self) -> bool:
        """Whether what it is looked up by does not have the documents in order of arrival."""
        return bool(self.words or self.begins or self.disagreement is not None)

    @property
    def only_text(self) -> Wanted:
        """The part of it that is about words and ids."""
        return Wanted(words=self.words, begins=self.begins, oldest_first=self.oldest_first)


@dataclass(frozen=True)
class Place:
    """Where a page is: those that come after the document with this key, or before it."""

    key: int
    before: bool = False


@dataclass
class Row:
    document: Document
    model: str = ""
    tags: list[Tag] = field(default_factory=list)
    unseen: bool = False
    confidence: float | None = None  # of what was let through unseen
    suspicious: bool = False


@dataclass(frozen=True)
class Found:
    """A page of documents. `count` is of all that match; None when they are more than MOST."""

    rows: list[Row]
    count: int | None
    previous: Place | None
    next: Place | None


def find(project: Project, wanted: Wanted, place: Place | None = None) -> Found:
    """The page at this place, or the first one."""
    any_order = keys_of(project, wanted)
    if any_order is None:
        keys = _read(project, wanted, place)
    else:
        keys = _pick_out(any_order, wanted, place)
    more = len(keys) > PAGE
    before = place is not None and place.before
    if place is not None and (not keys or (before and not more)):
        return find(project, wanted)  # nothing there; or the first page has them
    if before:
        keys = keys[:PAGE][::-1]
    keys = keys[:PAGE]
    return Found(
        rows=_rows(project, keys),
        count=None if any_order is None else len(any_order),
        previous=Place(keys[0], before=True) if keys and place is not None else None,
        next=Place(keys[-1]) if keys and (more or before) else None,
    )


def keys_of(project: Project, wanted: Wanted) -> list[int] | None:
    """The keys of all documents that match, in no order; None when they are more than MOST."""
    keys = list(matching(project, wanted).values_list("pk", flat=True)[: MOST + 1])
    return keys if len(keys) <= MOST else None


def matching(project: Project, wanted: Wanted) -> DocumentQuerySet:
    documents: DocumentQuerySet = project.documents.order_by()
    if wanted.state:
        documents = documents.filter(state=wanted.state)
    if wanted.pinned:
        documents = documents.filter(pinned=True)
    if wanted.disagreement is not None:
        documents = documents.filter(disagreement__gte=wanted.disagreement)
    if wanted.tag is not None:
        ends = project.tags.ends()
        named = [wanted.tag.pk, *(pk for pk, end in ends.items() if end == wanted.tag.pk)]
        marks = ", ".join(["%s"] * len(named))
        sql = f"SELECT document_id FROM review_given WHERE tag_id IN ({marks})"  # noqa: S608
        given = RawSQL(sql, named)  # noqa: S611 -- values are bound
        documents = documents.filter(state=DocumentState.REVIEWED, pk__in=given)
    for lookup in _lookups(wanted):
        documents = documents.filter(pk__in=lookup.values("document"))
    if wanted.words or wanted.begins:
        documents = _by_text(documents, project, wanted)
    return documents


def _lookups(wanted: Wanted) -> list[QuerySet[Any]]:
    """Rows that name the documents which match; an index has them in the documents' order."""
    lookups: list[QuerySet[Any]] = []
    if wanted.reviewer is not None:
        decided = Standing.objects.filter(reviewer=wanted.reviewer, purpose=Purpose.REVIEW)
        lookups.append(decided)
    if wanted.unseen:
        machine = Standing.objects.filter(reviewer__username=MACHINE, purpose=Purpose.MACHINE)
        lookups.append(machine)
    if wanted.suspicious:
        lookups.append(Suspicion.objects.all())
    if wanted.model:
        lookups.append(Proposal.objects.filter(current=True, model=wanted.model))
    return lookups


def models_known() -> list[str]:
    """The models that current candidates are by, whatever the project: the endpoint is not its own.

    Each costs one look into an index, which has them in order.
    """
    current = Proposal.objects.filter(current=True).order_by("model")
    names = current.values_list("model", flat=True)
    known: list[str] = []
    name = names.first()
    while name is not None:
        known.append(name)
        name = names.filter(model__gt=name).first()
    return known


def _by_text(documents: DocumentQuerySet, project: Project, wanted: Wanted) -> DocumentQuerySet:
    if connection.vendor == "postgresql":
        return documents.filter(pk__in=RawSQL(*_text_query(project, wanted)))  # noqa: S611 -- bound
    for word in _words(wanted):
        documents = documents.alias(start=Left("text", SEARCHED)).filter(
            Q(title__icontains=word) | Q(external_id__icontains=word) | Q(start__icontains=word)
        )
    if wanted.begins:
        after = wanted.begins + chr(0x10FFFF)
        documents = documents.filter(external_id__gte=wanted.begins, external_id__lt=after)
    return documents


def _words(wanted: Wanted) -> list[str]:
    return wanted.words.split()[:MOST_WORDS]


def _text_query(project: Project, wanted: Wanted) -> tuple[str, list[Any]]:
    """PostgreSQL's query for the keys of what has these words and this beginning."""
    conditions = ["project_id = %s"]
    values: list[Any] = [project.pk]
    for word in _words(wanted):
        conditions.append("words @@ phraseto_tsquery('simple', review_spaced(%s))")
        values.append(word)
    if wanted.begins:
        conditions.append("external_id LIKE %s")
        values.append(re.sub(r"([\\%_])", r"\\\1", wanted.begins) + "%")
    sql = f"SELECT document_id FROM review_words WHERE {' AND '.join(conditions)}"  # noqa: S608
    return sql, values


def _read(project: Project, wanted: Wanted, place: Place | None) -> list[int]:
    """One more key than a page has, in order; backwards for a page before a place."""
    before = place is not None and place.before
    ascending = wanted.oldest_first != before
    order, after = ("pk", "pk__gt") if ascending else ("-pk", "pk__lt")
    documents = matching(project, wanted)
    if place is not None:
        documents = documents.filter(**{after: place.key})
    for lookup in _lookups(wanted):
        # No need to walk to the first that it names: go there.
        named = lookup.values_list("document", flat=True)
        if place is not None:
            named = named.filter(**{after.replace("pk", "document_id"): place.key})
        first = named.order_by(order.replace("pk", "document_id")).first()
        if first is None:
            return []
        documents = documents.filter(**{f"{after}e": first})
    in_order = documents.order_by(order).values_list("pk", flat=True)
    if not wanted.unordered:
        return list(in_order[: PAGE + 1])
    if place is not None:
        start = place.key
    else:
        start = project.documents.order_by(order).values_list("pk", flat=True).first() or 0
    near = Q(pk__lte=start + NEAR) if ascending else Q(pk__gte=start - NEAR)
    keys = list(in_order.filter(near)[: PAGE + 1])
    if len(keys) > PAGE:
        return keys
    # They lie in a heap somewhere else. To walk there may be to read nearly all documents; the
    # sum, which no index has in order, lets the database fetch all that match and sort them.
    if connection.vendor == "postgresql" and wanted == wanted.only_text:
        sql, values = _text_query(project, wanted)  # the documents' own table has no say in it
        if place is not None:
            sql += f" AND document_id {'>' if ascending else '<'} %s"
            values.append(place.key)
        sql += f" ORDER BY document_id + 0 {'ASC' if ascending else 'DESC'} LIMIT %s"
        with connection.cursor() as cursor:
            cursor.execute(sql, [*values, PAGE + 1])
            return [key for (key,) in cursor.fetchall()]
    distant = (F("pk") + 0).asc() if ascending else (F("pk") + 0).desc()
    return list(documents.order_by(distant).values_list("pk", flat=True)[: PAGE + 1])


def _pick_out(keys: list[int], wanted: Wanted, place: Place | None) -> list[int]:
    """The same, of keys that are all known."""
    before = place is not None and place.before
    ascending = wanted.oldest_first != before
    if place is not None:
        keys = [key for key in keys if (key > place.key if ascending else key < place.key)]
    return sorted(keys, reverse=not ascending)[: PAGE + 1]


def _rows(project: Project, keys: list[int]) -> list[Row]:
    """The documents in the order of their keys, without their texts; tags sorted by name."""
    documents = project.documents.defer("text", "html").in_bulk(keys)
    rows = {key: Row(documents[key]) for key in keys if key in documents}
    current = Proposal.objects.filter(document__in=keys, current=True)
    for key, model in current.values_list("document_id", "model"):
        rows[key].model = model
    reviewed = [key for key in rows if documents[key].state == DocumentState.REVIEWED]
    machine = Standing.objects.filter(document__in=reviewed, purpose=Purpose.MACHINE)
    for key, confidence in machine.values_list("document", "decision__candidate__confidence"):
        rows[key].unseen, rows[key].confidence = True, confidence
    for key in Suspicion.objects.filter(document__in=keys).values_list("document_id", flat=True):
        rows[key].suspicious = True
    tags = {tag.pk: tag for tag in project.tags.all()} if reviewed else {}
    merged = {pk: tag.merged_into_id for pk, tag in tags.items() if tag.merged_into_id}
    for key, tag in _given(reviewed):
        now = tags[end_of(tag, merged)]
        if now not in rows[key].tags:
            rows[key].tags.append(now)
    for row in rows.values():
        row.tags.sort(key=lambda tag: tag.name)
    return list(rows.values())


def _given(keys: list[int]) -> list[tuple[int, int]]:
    """The keys of these documents and of the tags that stand for them."""
    if not keys:
        return []
    places = ", ".join(["%s"] * len(keys))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT document_id, tag_id FROM review_given WHERE document_id IN ({places})",  # noqa: S608
            keys,
        )
        return list(cursor.fetchall())

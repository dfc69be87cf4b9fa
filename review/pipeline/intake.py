"""Documents in: what a reader yields becomes rows, once for each id."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Case, F, Min, Value, When
from django.utils import timezone

from review import story
from review.models import (
    Document,
    DocumentRevision,
    DocumentState,
    Duplicate,
    Import,
    ImportProblem,
    ImportState,
    Project,
)
from review.models.document import FREE
from review.readers import LONGEST, Incoming

# A batch is one transaction: whichever of these is reached first ends it.
BATCH = 1000  # rows
BATCH_CHARACTERS = 4_000_000  # of their texts
BATCH_SECONDS = 5.0  # of reading

LEASE = timedelta(minutes=2)  # of an import, renewed with each batch
MOST_PROBLEMS = 10_000  # kept for one import; the others are counted
# SQLite has one writer at a time; who waits asks each tenth of a second, and a pick waits too.
TURN = 0.1  # seconds between two batches
# PostgreSQL, which takes a project with many new documents for a small one, would look for ids
# and texts by reading all of them. Autovacuum tells it, but a minute or more later.
LOOKED_AT_AFTER = (5, 50, 500)  # batches
TRIES = 3  # of a batch that met another import's

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """A row that did not become a document that can be tagged. Its fields: see Incoming."""

    line: int
    external_id: str
    field: str
    reason: str


@dataclass
class Intake:
    """What became of the documents that were handed in."""

    rows: int = 0
    added: int = 0
    unchanged: int = 0
    replaced: int = 0  # the same id with another text
    kept: int = 0  # another text for a reviewed document: a curator is asked about it
    failed: int = 0  # rows with a problem
    duplicates: int = 0  # of those added or replaced: the same text is here under another id
    problems: list[Problem] = field(default_factory=list)  # the first of them

    def __str__(self) -> str:
        parts = [f"{self.added} added", f"{self.unchanged} already here"]
        if self.replaced:
            parts.append(f"{self.replaced} replaced by a new text")
        if self.kept:
            parts.append(f"{self.kept} wait for a curator (reviewed, and the text has changed)")
        if self.failed:
            parts.append(f"{self.failed} with an error")
        if self.duplicates:
            parts.append(f"{self.duplicates} with the text of another")
        return ", ".join(parts)

    def __iadd__(self, other: Intake) -> Intake:
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.problems += other.problems[: MOST_PROBLEMS - len(self.problems)]
        return self


COUNTS = [one.name for one in fields(Intake) if one.name != "problems"]


class Lost(Exception):
    """The import is in other hands by now, or was stopped: nothing of the batch was stored."""


def take_in(
    project: Project,
    incoming: Iterable[Incoming],
    record: Import | None = None,
    bytes_done: Callable[[], int] = lambda: 0,
) -> Intake:
    """Store the documents, in batches; the same input again changes nothing.

    A row that cannot be tagged (no text, not text, too long) is a problem. Where it says its id,
    and there is no such document yet, it is stored all the same, as failed, with the reason:
    whoever asks for it by its id is told. It never takes the place of a text that was good.

    With `record`, counts and problems are kept there, each in the transaction of its rows.
    Raises Lost where its lease is not the caller's any more.
    """
    intake = Intake()
    for number, batch in enumerate(batches(incoming)):
        if number and connection.vendor == "sqlite":
            time.sleep(TURN)
        if number in LOOKED_AT_AFTER and connection.vendor == "postgresql":
            _analyze()
        intake += _take(project, batch, record, bytes_done())
    return intake


def batches(incoming: Iterable[Incoming]) -> Iterator[list[Incoming]]:
    batch: list[Incoming] = []
    characters, began = 0, time.monotonic()
    for item in incoming:
        batch.append(item)
        characters += len(item.text)
        late = time.monotonic() - began > BATCH_SECONDS
        if len(batch) == BATCH or characters > BATCH_CHARACTERS or late:
            yield batch
            batch = []
            characters, began = 0, time.monotonic()
    if batch:
        yield batch


def _take(
    project: Project, batch: list[Incoming], record: Import | None, bytes_done: int
) -> Intake:
    for number in range(TRIES):
        try:
            with transaction.atomic():
                intake = _take_batch(project, batch, record)
                if record is not None:
                    _note(record, intake, bytes_done)
                return intake
        except (IntegrityError, OperationalError) as error:
            # Another import has just stored the same ids: now they are known.
            if number == TRIES - 1:
                raise
            log.warning("A batch of documents is tried again: %s", error)
    raise AssertionError


def _take_batch(project: Project, batch: list[Incoming], record: Import | None) -> Intake:
    intake = Intake(rows=len(batch))
    rows: dict[str, Document] = {}
    for item in batch:
        row = _row(project, item)
        before = rows.get(row.external_id)
        if row.reason:
            intake.failed += 1
            intake.problems.append(
                Problem(item.line, row.external_id, item.field or _field(item), row.reason)
            )
            if before is not None or not item.external_id:
                continue
        elif before is not None and not before.reason:
            intake.unchanged += 1  # an id that came twice: the last one counts
        rows[row.external_id] = row
    # Sorted here: by the database, it might walk all documents of the project in that order.
    known = project.documents.filter(external_id__in=rows)
    changed, same = [], []
    found = known.only("project", "external_id", "sha256")
    for document in sorted(found, key=lambda document: document.pk):
        row = rows.pop(document.external_id)
        if row.reason:
            continue
        if row.sha256 == document.sha256:
            same.append(document.pk)
        elif _replace(document, row, record):
            changed.append(document)
            intake.replaced += 1
        else:
            _ask(document, row, record)
            intake.kept += 1
    intake.unchanged += len(same)
    DocumentRevision.objects.filter(document__in=same, waits=True).delete()
    new = list(rows.values())
    if connection.vendor == "postgresql":
        _copy(project, new)
    else:
        Document.objects.bulk_create(new)
    good = [row for row in new if not row.reason]
    intake.added = len(good)
    intake.duplicates = link_duplicates(project, [*good, *changed], record)
    came = [document.pk for document in (*new, *changed)]
    transaction.on_commit(lambda: story.tell_of_many("came in", came))
    return intake


def _copy(project: Project, new: list[Document]) -> None:
    """As bulk_create, by COPY: that takes 20 microseconds a document of Python, and not 90."""
    if not new:
        return
    columns = [column for column in Document._meta.concrete_fields if not column.primary_key]
    of_all = {
        column.attname: column.get_db_prep_save(column.pre_save(new[0], True), connection)
        for column in columns
    }
    into = f"COPY review_document ({', '.join(of_all)}) FROM STDIN"
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(into) as copy:
        for document in new:
            own = {name: getattr(document, name) for name in SET_BY_ROW}
            copy.write_row(list((of_all | own).values()))
    stored = project.documents.filter(external_id__in=[document.external_id for document in new])
    keys = dict(stored.values_list("external_id", "pk"))
    for document in new:
        document.pk = keys[document.external_id]


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE review_document (project_id, external_id, sha256)")


def _note(record: Import, intake: Intake, bytes_done: int) -> None:
    """Write the batch's counts to its import, whose lease goes on. Raises Lost."""
    counts = {name: F(name) + getattr(intake, name) for name in COUNTS}
    held = Import.objects.filter(
        pk=record.pk, state=ImportState.RUNNING, lease_token=record.lease_token
    )
    left = MOST_PROBLEMS - record.failed
    record.failed += intake.failed
    if not held.update(
        **counts,
        bytes_done=bytes_done,
        attempts=0,
        lease_expires_at=timezone.now() + LEASE,
    ):
        raise Lost
    if left > 0:
        ImportProblem.objects.bulk_create(
            ImportProblem(
                intake=record,
                line=problem.line,
                external_id=problem.external_id,
                field=problem.field,
                reason=problem.reason[:500],
            )
            for problem in intake.problems[:left]
        )


def _row(project: Project, item: Incoming) -> Document:
    text = item.text
    reason = item.problem or problem_of(text)
    return Document(
        project=project,
        external_id=item.external_id[:500],
        title=" ".join(item.title.split())[:500],
        text=text,
        source=item.source[:2000],
        markup=item.markup,
        characters=len(text),
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        state=DocumentState.FAILED if reason else DocumentState.WAITING,
        reason=reason,
    )


# What _row sets, but for the project: all else is the same for all new documents.
SET_BY_ROW = (
    *("external_id", "title", "text", "markup", "source"),
    *("characters", "sha256", "state", "reason"),
)


def _field(item: Incoming) -> str:
    return "" if item.problem else "text"  # its length, or that there is none


def problem_of(text: str) -> str:
    """Why a text cannot be tagged, in a sentence; "" when it can."""
    if not text.strip():
        return "The document is empty."
    size = len(text.encode())
    if size > settings.MAX_DOCUMENT_BYTES:
        allowed = settings.MAX_DOCUMENT_BYTES
        return (
            f"The document has {size / 1e6:.1f} MB, more than the {allowed / 1e6:.1f} MB "
            "that are allowed (TAGGER_MAX_DOCUMENT_BYTES)."
        )
    return ""


def most_bytes() -> int:
    """Of a row or file that are read: some more than a text may have, to say how long it is."""
    return max(LONGEST, 8 * settings.MAX_DOCUMENT_BYTES)


def _replace(document: Document, row: Document, record: Import | None) -> bool:
    """Give the document its new text, unless it has reviews; a retired one stays so.

    Whoever works on the old text finds the lease gone.
    """
    before = Document.objects.get(pk=document.pk)
    unreviewed = Document.objects.filter(pk=document.pk, sha256=document.sha256, reviews=0)
    done = unreviewed.exclude(state__in=[DocumentState.REVIEWED, DocumentState.DISPUTED]).update(
        **new_text(row), **read_again()
    )
    if not done:
        return False
    document.proposals.filter(current=True).update(current=False)
    document.revisions.filter(waits=True).delete()
    if before.text:  # none: there was only a problem
        DocumentRevision.objects.create(document=document, intake=record, **text_of(before))
    document.sha256 = row.sha256
    return True


def _ask(document: Document, row: Document, record: Import | None) -> None:
    """Let a curator say what becomes of the reviews of the old text: see revise.py."""
    DocumentRevision.objects.update_or_create(
        document=document, waits=True, defaults={**text_of(row), "intake": record}
    )


def text_of(row: Document | DocumentRevision) -> dict[str, str]:
    """What a revision keeps of a document, and a document takes of a revision."""
    return {name: getattr(row, name) for name in ("title", "text", "markup", "source", "sha256")}


def new_text(row: Document | DocumentRevision) -> dict[str, object]:
    return {**text_of(row), "characters": len(row.text), "html_version": 0}


def read_again() -> dict[str, object]:
    """What a document's row says when the model is to read it; a retired one stays so."""
    retired = When(state=DocumentState.RETIRED, then=Value(DocumentState.RETIRED))
    state = Case(retired, default=Value(DocumentState.WAITING))
    begin = {"reason": "", "attempts": 0, "troubles": 0, "not_before": None}
    return {"state": state, **begin, **FREE}


def link_duplicates(project: Project, documents: list[Document], record: Import | None) -> int:
    """Link those to the first document with the same text, if that is another; how many.

    After their rows have their texts; what was linked by an old text is linked anew.
    """
    keys = [document.pk for document in documents]
    Duplicate.objects.filter(document__in=keys).delete()
    for orphan in Duplicate.objects.filter(first__in=keys).order_by("document"):
        _relink(orphan)
    texts = {document.sha256 for document in documents}
    same = project.documents.filter(sha256__in=texts).values_list("sha256")
    firsts = dict(same.annotate(Min("pk")))
    links = [
        Duplicate(document=document, first_id=firsts[document.sha256], intake=record)
        for document in documents
        if firsts[document.sha256] != document.pk
    ]
    Duplicate.objects.bulk_create(links)
    return len(links)


def _relink(orphan: Duplicate) -> None:
    """The first of its kind has another text now: the next one is the first of the others."""
    sha256 = orphan.document.sha256
    same = Document.objects.filter(project=orphan.document.project_id, sha256=sha256)
    first = same.order_by("pk").values_list("pk", flat=True).first()
    if first in (None, orphan.document_id):
        orphan.delete()
    else:
        Duplicate.objects.filter(pk=orphan.pk).update(first=first)

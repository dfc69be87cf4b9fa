"""Documents in: what a reader yields becomes rows, once for each id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from django.conf import settings
from django.db import transaction

from review.models import Document, DocumentState, Project
from review.models.document import FREE
from review.readers import Incoming

BATCH = 500  # rows in one transaction


@dataclass
class Intake:
    """What became of the documents that were handed in."""

    added: int = 0
    unchanged: int = 0
    replaced: int = 0  # the same id with another text
    kept: int = 0  # another text for a document that people have decided on: left as it was
    failed: int = 0  # of those added or replaced: stored, and set aside with a reason

    def __str__(self) -> str:
        parts = [f"{self.added} added", f"{self.unchanged} already here"]
        if self.replaced:
            parts.append(f"{self.replaced} replaced by a new text")
        if self.kept:
            parts.append(f"{self.kept} left as they were (reviewed, and the text has changed)")
        if self.failed:
            parts.append(f"{self.failed} set aside: see their reasons in the admin")
        return ", ".join(parts)


def take_in(project: Project, incoming: Iterable[Incoming]) -> Intake:
    """Store the documents, in batches; the same input again changes nothing.

    A document that cannot be tagged (no text, not text, too long) is stored all the same,
    as failed, with the reason: nobody has to wonder where it went.
    """
    intake = Intake()
    incoming = iter(incoming)
    while batch := list(islice(incoming, BATCH)):
        with transaction.atomic():
            _take_batch(project, batch, intake)
    return intake


def _take_batch(project: Project, batch: list[Incoming], intake: Intake) -> None:
    rows = {row.external_id: row for row in (_row(project, item) for item in batch)}
    known = {
        document.external_id: document
        for document in project.documents.filter(external_id__in=rows).defer("text")
    }
    new = [row for external_id, row in rows.items() if external_id not in known]
    Document.objects.bulk_create(new)
    intake.added += len(new)
    intake.failed += sum(row.state == DocumentState.FAILED for row in new)
    intake.unchanged += len(batch) - len(rows)  # an id that came twice: the last one counts
    for external_id, document in known.items():
        row = rows[external_id]
        if row.sha256 == document.sha256:
            intake.unchanged += 1
        elif document.decisions.exists():
            intake.kept += 1
        else:
            _replace(document, row)
            intake.replaced += 1
            intake.failed += row.state == DocumentState.FAILED


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


def problem_of(text: str) -> str:
    """Why a text cannot be tagged, in a sentence; "" when it can."""
    if not text.strip():
        return "The document is empty."
    size = len(text.encode())
    if size > settings.MAX_DOCUMENT_BYTES:
        allowed = settings.MAX_DOCUMENT_BYTES
        return (
            f"The document has {size / 1e6:.1f} MB, more than the {allowed / 1e6:.1f} MB "
            "that are allowed (TAGGER_MAX_DOCUMENT_BYTES). Its text was kept."
        )
    return ""


def _replace(document: Document, row: Document) -> None:
    """Give the document its new text; whoever works on the old one finds the lease gone."""
    document.proposals.filter(current=True).update(current=False)
    Document.objects.filter(pk=document.pk).update(
        title=row.title,
        text=row.text,
        source=row.source,
        markup=row.markup,
        characters=row.characters,
        html_version=0,
        sha256=row.sha256,
        state=row.state,
        reason=row.reason,
        attempts=0,
        troubles=0,
        not_before=None,
        **FREE,
    )

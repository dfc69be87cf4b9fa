"""A reviewed document's text has changed: a curator says what becomes of the decisions.

Until then everything stays with the text that people read; the new one waits in its
`DocumentRevision`. Whatever the answer, the new text takes the old one's place.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from review.models import (
    Document,
    DocumentRevision,
    Project,
)

from .close import take_back_all
from .intake import link_duplicates, new_text, read_again, text_of


def changed_since_review(project: Project) -> QuerySet[DocumentRevision]:
    """The new texts that wait for an answer, oldest first."""
    waiting = DocumentRevision.objects.filter(waits=True, document__project=project)
    return waiting.select_related("document").order_by("pk")


@transaction.atomic
def keep_decisions(revision: DocumentRevision) -> bool:
    """The new text takes its place, and the decisions stand. False where it was answered before."""
    document = _take(revision)
    if document is None:
        return False
    Document.objects.filter(pk=document.pk).update(**new_text(revision))
    _settle(revision, document)
    return True


@transaction.atomic
def review_again(revision: DocumentRevision, curator: User) -> bool:
    """Take back the decisions; the model reads the new text, and people review it again.

    False where it was answered before, or a reviewer takes back theirs at this moment.
    """
    document = _take(revision)
    if document is None or not take_back_all(document.pk, curator):
        transaction.set_rollback(True)
        return False
    Document.objects.filter(pk=document.pk).update(**new_text(revision), **read_again(), reviews=0)
    document.proposals.filter(current=True).update(current=False)
    _settle(revision, document)
    return True


def _take(revision: DocumentRevision) -> Document | None:
    """The document, locked; None where another answer was quicker, or a newer text came in."""
    held = DocumentRevision.objects.select_for_update().filter(
        pk=revision.pk, waits=True, sha256=revision.sha256
    )
    if held.first() is None:
        return None
    return Document.objects.select_for_update().get(pk=revision.document_id)


def _settle(revision: DocumentRevision, document: Document) -> None:
    """The revision has the old text from now on."""
    DocumentRevision.objects.filter(pk=revision.pk).update(waits=False, **text_of(document))
    document.sha256 = revision.sha256
    link_duplicates(document.project, [document], revision.intake)

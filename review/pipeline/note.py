"""Notes to the curator: a reviewer leaves one, a curator says that it is done."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.translation import gettext as _

from review.models import Document, Note, Project, Tag
from review.models.note import LONGEST_NOTE

MOST_COUNTED = 100  # open notes; the menu says "99+" for so many


class NotANote(ValueError):
    """The text is none to keep; the message says why, to the person who wrote it."""


def leave(
    project: Project,
    author: User,
    text: str,
    document: Document | None = None,
    tag: Tag | None = None,
) -> Note:
    """Keep a note. The same words of the same person on the same thing are one open note.

    Raises NotANote for a text that is empty or too long.
    """
    text = text.replace("\0", "").strip()
    if not text:
        raise NotANote(_("Write something first."))
    if len(text) > LONGEST_NOTE:
        raise NotANote(_("A note has at most %(most)d characters.") % {"most": LONGEST_NOTE})
    open_ones = project.notes.filter(author=author, document=document, tag=tag, done_at=None)
    known = open_ones.filter(text=text).first()
    if known is not None:
        return known
    return Note.objects.create(
        project=project, author=author, text=text, document=document, tag=tag
    )


def finish(note: Note, curator: User) -> None:
    """Say that it is done; who said so first stays."""
    Note.objects.filter(pk=note.pk, done_at=None).update(done_at=timezone.now(), done_by=curator)


def reopen(note: Note) -> None:
    Note.objects.filter(pk=note.pk).update(done_at=None, done_by=None)


def open_notes(project: Project) -> int:
    """How many wait for the curator; of very many, MOST_COUNTED."""
    return project.notes.filter(done_at=None)[:MOST_COUNTED].count()

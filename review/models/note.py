"""What people tell the curator: of a document, of a tag, or of the tag list as a whole."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from .document import Document
from .project import Project
from .vocabulary import Tag

LONGEST_NOTE = 2000  # characters


class Note(models.Model):
    """Open until a curator says that it is done. It may name a document, a tag, or both."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="notes")
    document = models.ForeignKey(
        Document, null=True, blank=True, on_delete=models.CASCADE, related_name="notes"
    )
    tag = models.ForeignKey(
        Tag, null=True, blank=True, on_delete=models.CASCADE, related_name="notes"
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="notes"
    )
    text = models.CharField(max_length=LONGEST_NOTE)
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, blank=True)
    done_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["project", "-id"], name="note_open", condition=Q(done_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]

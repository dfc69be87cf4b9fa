"""Documents whose answer is known, and to whom they were handed to see whether they know it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from .decision import Decision
from .document import Document


class Gold(models.Model):
    """What a curator says of a document: its answer, another one, or that it is gold no more.

    Rows are not changed, but for `current`: a later one takes its place. Tags are kept by their
    numbers, so a set outlives renaming, and is read as what its tags were merged into.
    """

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="golds")
    current = models.BooleanField(
        default=True, help_text="What counts now; at most one for a document."
    )
    withdrawn = models.BooleanField(default=False, help_text="It is gold no more.")
    best = models.JSONField(help_text="The right set: [25, 1]; [] where no tag fits.")
    acceptable = models.JSONField(
        default=list, help_text="Sets that are no error either: [[25], [25, 7]]."
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Empty for a command on the server.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["document"], condition=Q(current=True), name="one_current_gold"
            ),
        ]

    def __str__(self) -> str:
        return f"gold: {self.document_id}"


class GoldTurn(models.Model):
    """That a gold document was handed to a reviewer, among the others and unannounced.

    It is leased on its own, as a Repeat is: several people may have the document at once, and its
    own row stays as it is. Each person gets it once.
    """

    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="gold_turns"
    )
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="gold_turns")
    before = models.ForeignKey(
        Document,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The document of the queue that it was handed out in place of.",
    )
    decision = models.OneToOneField(
        Decision, null=True, blank=True, on_delete=models.PROTECT, related_name="gold_turn"
    )
    lease_token = models.UUIDField(null=True, blank=True, unique=True)
    lease_started_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reviewer", "document"], name="gold_once_each"),
            models.UniqueConstraint(fields=["reviewer", "before"], name="gold_once_before"),
        ]
        indexes = [
            models.Index(
                fields=["reviewer"], name="gold_turn_open", condition=Q(decision__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"gold for {self.reviewer}: {self.document_id}"

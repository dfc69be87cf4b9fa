"""What a person chose. Rows are only ever added."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from .document import Document
from .proposal import Candidate


class DecisionKind(models.TextChoices):
    PICK = "pick", "Picked a candidate"


class Decision(models.Model):
    document = models.ForeignKey(Document, on_delete=models.PROTECT, related_name="decisions")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions"
    )
    kind = models.CharField(max_length=10, choices=DecisionKind.choices)
    candidate = models.ForeignKey(
        Candidate, null=True, blank=True, on_delete=models.PROTECT, related_name="decisions"
    )
    shown = models.JSONField(help_text="The candidates' ranks in the order of the page: [2, 1, 3].")
    milliseconds = models.PositiveIntegerField(help_text="From the page's first sight to the pick.")
    key = models.UUIDField(unique=True, help_text="One per page: a repeated POST adds nothing.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="pick_has_candidate",
                condition=~Q(kind=DecisionKind.PICK) | Q(candidate__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["document", "reviewer"], name="decision_by_document")]

    def __str__(self) -> str:
        return f"{self.reviewer}: {self.kind} on {self.document_id}"

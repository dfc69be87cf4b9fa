"""What of a document seems to speak to the model that reads it."""

from __future__ import annotations

from django.db import models

from .document import Document


class Suspicion(models.Model):
    """Found when its current proposal was made; a document without one seems harmless.

    A table of its own: few documents have one, and the desk reads it beside the candidates.
    """

    document = models.OneToOneField(
        Document, on_delete=models.CASCADE, primary_key=True, related_name="suspicion"
    )
    found = models.JSONField(help_text='[{"rule": "orders", "quote": "ignore all …"}]')
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return ", ".join(each["rule"] for each in self.found)

"""A document: its text, where it stands, and who holds it just now."""

from __future__ import annotations

import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from .project import Project


class DocumentState(models.TextChoices):
    WAITING = "waiting", _("Waiting for the model")
    PROPOSING = "proposing", _("The model is reading it")
    READY = "ready", _("Ready to review")
    REVIEWED = "reviewed", _("Reviewed")
    FAILED = "failed", _("Failed")
    DISPUTED = "disputed", _("Reviewers disagree")
    RETIRED = "retired", _("Retired")


class Markup(models.TextChoices):
    MARKDOWN = "markdown", "Markdown"
    PLAIN = "plain", "Plain text"


# What a document's row says when nobody holds it.
FREE: dict[str, Any] = {
    "lease_token": None,
    "lease_holder": None,
    "lease_started_at": None,
    "lease_expires_at": None,
}


class DocumentQuerySet(models.QuerySet["Document"]):
    def due(self, now: datetime.datetime) -> DocumentQuerySet:
        """Those the model should read now, oldest first."""
        waiting = self.filter(state=DocumentState.WAITING)
        return waiting.filter(Q(not_before=None) | Q(not_before__lte=now)).order_by("pk")

    def unleased(self, now: datetime.datetime) -> DocumentQuerySet:
        """Those that nobody holds; a lease past its end holds nothing."""
        return self.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lte=now))

    def unbatched(self, now: datetime.datetime) -> DocumentQuerySet:
        """Of those that wait, the ones that no batch holds: see models/batch.py."""
        return self.filter(Q(lease_token=None) | Q(not_before__lte=now))


class Document(models.Model):
    """One text to be tagged.

    It is a job twice: first for a worker (waiting → proposing → ready), then for
    `reviews_needed` reviewers (ready → reviewed; or disputed, where their sets differ, until a
    curator settles it). A curator may retire it. Whoever works on it holds its lease: a token
    that is renewed or runs out. Every change of state is a conditional UPDATE on the state and
    the token, so that of two at once one wins, on any database.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="documents")
    external_id = models.CharField(max_length=500, help_text="The integrator's id: any string.")
    title = models.CharField(max_length=500, blank=True)
    text = models.TextField(blank=True)
    markup = models.CharField(max_length=10, choices=Markup.choices, default=Markup.MARKDOWN)
    source = models.CharField(max_length=2000, blank=True, help_text="Where it came from.")
    characters = models.PositiveIntegerField(default=0, help_text="Of the text.")
    sha256 = models.CharField(max_length=64, help_text="Of the text, UTF-8.")
    html = models.TextField(blank=True, help_text="The text as it is shown; see pipeline/render.")
    html_version = models.PositiveSmallIntegerField(default=0, help_text="Of the renderer.")
    created_at = models.DateTimeField(auto_now_add=True)

    state = models.CharField(
        max_length=10, choices=DocumentState.choices, default=DocumentState.WAITING
    )
    reason = models.TextField(
        blank=True, help_text="Why it failed or waits, in a sentence for a person."
    )
    reviews = models.PositiveSmallIntegerField(
        default=0, help_text="Decisions that stand, of `reviews_needed`."
    )

    pinned = models.BooleanField(default=False, help_text="A curator wants it reviewed first.")
    disagreement = models.FloatField(
        default=0, help_text="Of the current candidates: their mean Jaccard distance, 0 to 1."
    )

    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Runs begun by workers since the last one that ended in order."
    )
    troubles = models.PositiveSmallIntegerField(
        default=0, help_text="Runs since the last answer that ended without one."
    )
    not_before = models.DateTimeField(
        null=True, blank=True, help_text="The model is not asked again before this moment."
    )

    lease_token = models.UUIDField(null=True, blank=True)
    lease_holder = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The reviewer; empty while a worker holds it.",
    )
    lease_started_at = models.DateTimeField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = DocumentQuerySet.as_manager()

    # Not stored: set on the one that is handed to its reviewer again, as a repeat.
    again = False

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "external_id"], name="document_external_id_unique"
            ),
        ]
        indexes = [
            # The sweeper walks one state in order of arrival.
            models.Index(fields=["state", "id"], name="document_by_state"),
            # The columns of pipeline/queue.py's order. `state` comes first, not as a condition:
            # SQLite uses no partial index for a state that is a parameter.
            models.Index(
                F("project"),
                F("state"),
                F("pinned").desc(),
                F("reviews"),
                F("disagreement").desc(),
                F("id"),
                name="document_queue",
            ),
            models.Index(
                fields=["lease_holder"],
                name="document_by_holder",
                condition=Q(lease_holder__isnull=False),
            ),
            # The documents page: see pipeline/find.py.
            models.Index(fields=["project", "id"], name="document_in_order"),
            models.Index(fields=["project", "state", "id"], name="document_in_state"),
            models.Index(fields=["project", "disagreement"], name="document_disagreement"),
            # The same text under another id: see pipeline/intake.py.
            models.Index(fields=["project", "sha256"], name="document_by_text"),
            models.Index(
                fields=["project", "id"], name="document_pinned", condition=Q(pinned=True)
            ),
            # The API's list: since when.
            models.Index(fields=["project", "created_at", "id"], name="document_by_time"),
        ]

    def __str__(self) -> str:
        return self.title or self.external_id

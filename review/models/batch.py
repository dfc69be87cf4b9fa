"""Documents that are asked about together, by a provider's batch API, within a day."""

from __future__ import annotations

import datetime
import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .document import Document
from .project import Project
from .proposal import SystemMessage
from .vocabulary import VocabularyVersion


class BatchState(models.TextChoices):
    GATHERING = "gathering", _("Being put together")
    READY = "ready", _("Waiting to be sent")
    SENT = "sent", _("With the provider")
    DONE = "done", _("Done")
    EXPIRED = "expired", _("Ended before all was answered")
    CANCELLED = "cancelled", _("Cancelled")
    FAILED = "failed", _("Failed")


OPEN = (BatchState.GATHERING, BatchState.READY, BatchState.SENT)


class BatchQuerySet(models.QuerySet["Batch"]):
    def due(self, now: datetime.datetime) -> BatchQuerySet:
        """Those that a worker should look after now."""
        free = self.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lte=now))
        return free.filter(state__in=OPEN, look_at__lte=now).order_by("pk")


class Batch(models.Model):
    """One file of requests at a provider. It is a job: who works on it holds its lease.

    Its documents go on waiting, but no worker reads them: each has the batch's `token` as its
    lease token, and `not_before` at `held_until`. Whatever changes a document takes the token
    away, and the answer to what it was is dropped.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="batches")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Who began it; empty for a command.",
    )
    state = models.CharField(
        max_length=10, choices=BatchState.choices, default=BatchState.GATHERING
    )
    cancel_asked = models.BooleanField(default=False)
    error = models.TextField(blank=True, help_text="What went wrong last, in a sentence.")
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    # What is asked, as it was when the batch was begun.
    base_url = models.CharField(max_length=500)
    model = models.CharField(max_length=200)
    recipe = models.JSONField(default=dict, help_text="The fields of llm/recipe.py's Recipe.")
    manners = models.JSONField(default=dict, help_text="What it honours: llm/manners.py.")
    vocabulary_version = models.ForeignKey(VocabularyVersion, on_delete=models.PROTECT)
    max_tags = models.PositiveSmallIntegerField()
    wanted = models.PositiveIntegerField(help_text="So many documents, if as many wait.")

    # What the provider calls it, and says of it.
    input_file = models.CharField(max_length=200, blank=True)
    sending_at = models.DateTimeField(
        null=True, blank=True, help_text="When the provider was asked to begin."
    )
    provider_id = models.CharField(max_length=200, blank=True)
    provider_state = models.CharField(max_length=50, blank=True)
    requests_done = models.PositiveIntegerField(default=0)
    requests_failed = models.PositiveIntegerField(default=0)

    documents = models.PositiveIntegerField(default=0)
    requests = models.PositiveIntegerField(default=0)
    bytes = models.BigIntegerField(default=0, help_text="Of the file of requests.")
    stored = models.PositiveIntegerField(default=0, help_text="With candidates.")
    failed = models.PositiveIntegerField(default=0, help_text="Failed: e.g. the model declined.")
    again = models.PositiveIntegerField(
        default=0, help_text="Answered without usable tags: asked again by the workers."
    )
    left = models.PositiveIntegerField(default=0, help_text="Not answered: they wait again.")
    dropped = models.PositiveIntegerField(
        default=0, help_text="Changed or retired meanwhile: the answer was not kept."
    )
    tokens_in = models.BigIntegerField(default=0)
    tokens_cached = models.BigIntegerField(default=0, help_text="Of those in, from a cache.")
    tokens_out = models.BigIntegerField(default=0)

    # Of the project's budget, at most, while it is capped: see pipeline/budget.py.
    tokens_held = models.BigIntegerField(default=0)
    money_held = models.BigIntegerField(default=0, help_text="In millionths.")

    token = models.UUIDField(default=uuid.uuid4, help_text="Its documents' lease token.")
    held_until = models.DateTimeField(help_text="Until when its documents wait for it.")
    look_at = models.DateTimeField(help_text="Nothing is done before this moment.")
    troubles = models.PositiveSmallIntegerField(default=0, help_text="In a row.")
    lease_token = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["project", "-id"], name="batch_newest_first"),
            models.Index(fields=["id"], name="batch_open", condition=Q(state__in=OPEN)),
        ]
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return f"Batch {self.pk}"

    @property
    def moves(self) -> bool:
        return self.state in OPEN

    @property
    def taken(self) -> int:
        """The documents whose answers have been read, or that are no longer waited for."""
        return self.stored + self.failed + self.again + self.left + self.dropped

    @property
    def percent(self) -> int:
        """Of what there is to do, as far as it is known: gathering, the provider, reading."""
        if self.state == BatchState.GATHERING:
            return 100 * self.documents // self.wanted if self.wanted else 0
        if not self.moves:
            return 100
        if self.taken:
            return 100 * self.taken // self.documents
        done = self.requests_done + self.requests_failed
        return min(99, 100 * done // self.requests) if self.requests else 0


class BatchItem(models.Model):
    """A document's place in a batch, and what it is asked with. Gone once the answer is in."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")
    system_message = models.ForeignKey(SystemMessage, on_delete=models.PROTECT)
    user_message = models.TextField()
    document_cut = models.BooleanField(default=False)
    names = models.JSONField(
        default=list, blank=True, help_text="The tags to choose from; empty: the whole version."
    )
    seed = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "document"], name="once_in_a_batch"),
        ]

    def __str__(self) -> str:
        return f"{self.document_id} in {self.batch_id}"

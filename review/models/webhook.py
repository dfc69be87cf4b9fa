"""Who is told of what happens, by a call to their address; and what became of each call."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .document import Document
from .project import Project

LONGEST_ANSWER = 500  # characters that are kept of an answer


class Event(models.TextChoices):
    # The first two are "document." and the new state: the triggers that make the deliveries
    # (migrations) put them together so.
    REVIEWED = "document.reviewed", _("A document is reviewed")
    FAILED = "document.failed", _("A document has failed")
    VOCABULARY = "vocabulary.changed", _("The tag list has changed")
    RELEASE = "release.ready", _("A release is ready")
    TEST = "webhook.test", _("A test")


class Off(models.TextChoices):
    """Why a webhook is switched off."""

    HAND = "hand", _("by hand")
    GONE = "gone", _("it answered 410: the address is gone for good")
    SILENT = "silent", _("nothing came through for three days")


class Webhook(models.Model):
    """An address of another program. While it is switched off, no deliveries are made for it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=2000)
    events = models.JSONField(help_text='A list: ["document.reviewed"].')
    secret = models.CharField(max_length=100, help_text="Signs what is sent: whsec_ and base64.")
    vocabulary = models.CharField(
        max_length=64, blank=True, help_text="The sha256 of the tag list that was last announced."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text="When the first attempt failed of those since a success."
    )
    switched_off_at = models.DateTimeField(null=True, blank=True)
    off_reason = models.CharField(max_length=10, choices=Off.choices, blank=True)

    def __str__(self) -> str:
        return self.url


class DeliveryState(models.TextChoices):
    PENDING = "pending", _("Waits to be sent")
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Given up")


class Delivery(models.Model):
    """One event for one webhook: a job that is due at `next_at`.

    A trigger makes it, in the transaction that reviews or fails the document. Its body is
    written when it is first sent (of a release at once: that never changes), and stays the same
    however often it is sent again.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=30, choices=Event.choices)
    document = models.ForeignKey(
        Document, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    body = models.TextField(blank=True)
    state = models.CharField(
        max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING
    )
    attempts = models.PositiveSmallIntegerField(
        default=0, help_text="Since it was made, or replayed by hand."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    next_at = models.DateTimeField(help_text="While it waits: not before this moment.")

    class Meta:
        indexes = [
            models.Index(
                fields=["next_at", "id"], name="delivery_due", condition=Q(state="pending")
            ),
            models.Index(fields=["webhook", "-id"], name="delivery_latest"),
        ]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.event} to {self.webhook}"


class Attempt(models.Model):
    """One call: the status and the beginning of the answer, or why there was none."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="calls")
    started_at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    answer = models.CharField(max_length=LONGEST_ANSWER, blank=True)
    problem = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.status or self.problem)

"""What a confidence is worth, and what was let through on it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .decision import Decision
from .document import Document
from .project import Project
from .proposal import Proposal


class CalibrationQuerySet(models.QuerySet["Calibration"]):
    def latest_for(self, project: Project, model: str, prompt_version: str) -> Calibration | None:
        """The one that tells the confidence of what this model answers to this prompt."""
        those = self.filter(project=project, model=model, prompt_version=prompt_version)
        return those.order_by("-pk").first()


class Calibration(models.Model):
    """How a model's confidence in a project is told, learned from what people picked.

    Rows are not changed, but for `told_to`: the latest of a model and prompt counts.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="calibrations")
    model = models.CharField(max_length=200)
    prompt_version = models.CharField(max_length=100)
    method = models.CharField(max_length=10, help_text="platt, isotonic, or constant.")
    documents = models.PositiveIntegerField(help_text="Reviewed ones that it was fitted on.")
    picked = models.PositiveIntegerField(help_text="Of those, first candidates picked unchanged.")
    last_decision = models.BigIntegerField(help_text="The latest of those that it was fitted on.")
    numbers = models.JSONField(help_text="See insight/confidence.py.")
    curve = models.JSONField(help_text="Thresholds and what they would have let through.")
    told_to = models.BigIntegerField(
        default=0,
        null=True,
        help_text="Proposals of before are told theirs up to this one; empty: all of them.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CalibrationQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["project", "model", "prompt_version", "-id"], name="calibration_latest"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model}, prompt {self.prompt_version}: {self.documents} documents"


class OffReason(models.TextChoices):
    HAND = "hand", _("by hand")
    AUDIT = "audit", _("the audit found the promise broken")


class AutoAccept(models.Model):
    """That a project lets documents through unseen, and what it promises of them.

    Switched off it stays, for what it says of its end.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="auto_accept")
    promise = models.FloatField(help_text="The share that is right, at least: 0.97.")
    audit_share = models.FloatField(
        default=0.05, help_text="Of what is above the threshold, people review so much."
    )
    on_at = models.DateTimeField(help_text="When it was last switched on.")
    on_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    off_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it is on.")
    off_reason = models.CharField(max_length=10, choices=OffReason.choices, blank=True)
    audited = models.PositiveIntegerField(default=0, help_text="When the audit switched it off.")
    agreed = models.PositiveIntegerField(default=0, help_text="Of those, picked unchanged.")
    send_back_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Who wants what was let through reviewed; empty when that is done.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="auto_accept_promise_is_a_share",
                condition=Q(promise__gt=0, promise__lt=1),
            ),
            models.CheckConstraint(
                name="auto_accept_audits_some",
                condition=Q(audit_share__gt=0, audit_share__lte=1),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project}: {'on' if self.on else 'off'}"

    @property
    def on(self) -> bool:
        return self.off_at is None


class Acceptance(models.Model):
    """That a proposal was above the threshold: let through unseen, or kept for the audit.

    One for a proposal, for good: what people take back is not let through again.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="acceptances")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="acceptances")
    proposal = models.OneToOneField(Proposal, on_delete=models.CASCADE, related_name="acceptance")
    decision = models.OneToOneField(
        Decision,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="acceptance",
        help_text="The machine's; empty for the audited, which people decide on.",
    )
    waiting = models.BooleanField(
        default=False, help_text="Kept for the audit, and perhaps not reviewed yet."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            # The queue looks here now and then.
            models.Index(
                fields=["project", "document"],
                name="acceptance_to_audit",
                condition=Q(waiting=True),
            ),
            models.Index(
                fields=["project", "-id"],
                name="acceptance_audited",
                condition=Q(decision=None),
            ),
            models.Index(fields=["project", "created_at"], name="acceptance_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.document}: {'let through' if self.decision_id else 'for the audit'}"

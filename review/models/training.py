"""Models that were tuned on a release, and which of them a project asks."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .evaluation import Evaluation
from .project import Project
from .release import Release

EMBEDDED_BASE = "embedded"  # the model that comes with Tagger


class TrainingState(models.TextChoices):
    WAITING = "waiting", _("Waiting for a trainer")
    RUNNING = "running", _("Training")
    READY = "ready", _("Trained")
    STOPPED = "stopped", _("Stopped")
    FAILED = "failed", _("Failed")


UNTRAINED = (TrainingState.WAITING, TrainingState.RUNNING)


class TrainingQuerySet(models.QuerySet["Training"]):
    def due(self, now: datetime.datetime) -> TrainingQuerySet:
        """Those that a trainer should begin or go on with now."""
        free = self.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lte=now))
        return free.filter(state__in=UNTRAINED).order_by("pk")


class Training(models.Model):
    """A tuned model: from which base, on which release, with which numbers.

    It is a job until it is trained. Then its adapter is in `folder` under TAGGER_VAR, and it is
    served under `name`: by the embedded server, or by the server at `base_url`.
    """

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="trainings")
    name = models.CharField(max_length=200, unique=True, help_text="Under which it is asked.")
    base = models.CharField(
        max_length=500, default=EMBEDDED_BASE, help_text="“embedded”, or a Hugging Face name."
    )
    start = models.CharField(
        max_length=200, blank=True, help_text="The adapter that it went on from; empty: none."
    )
    options = models.JSONField(default=dict, help_text="Epochs, rates, beta, …: as was trained.")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    state = models.CharField(
        max_length=10, choices=TrainingState.choices, default=TrainingState.WAITING
    )
    stop_asked = models.BooleanField(default=False)
    reason = models.TextField(blank=True, help_text="Why it failed, in a sentence.")
    progress = models.JSONField(
        default=list,
        help_text="[{phase, step, steps, loss, margin, accuracy}], thinned to some hundred.",
    )
    seconds_left = models.FloatField(null=True, blank=True)
    figures = models.JSONField(
        default=dict, help_text="Documents, pairs, seconds, peak_memory_mb, the last losses."
    )
    adapter_sha256 = models.CharField(max_length=64, blank=True, help_text="Of adapter.gguf.")
    base_url = models.CharField(
        max_length=500, blank=True, help_text="Where it is served; empty: by the embedded server."
    )
    measured_base = models.ForeignKey(
        Evaluation, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    measured = models.ForeignKey(
        Evaluation, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = TrainingQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="training_due", condition=Q(state__in=UNTRAINED)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> str:
        """Relative to TAGGER_VAR."""
        return f"trainings/{self.pk}"


class InUse(models.Model):
    """Which tuned model a project asks, and which is tried beside it, blind, in the queue.

    Without a row, or where both are empty, the project asks what the settings name.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="in_use")
    tuned = models.ForeignKey(
        Training, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    rival = models.ForeignKey(
        Training, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    rival_is_base = models.BooleanField(
        default=False, help_text="What the settings name is tried beside the tuned one."
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="rival_is_another",
                condition=Q(rival=None) | Q(tuned=None) | ~Q(rival=models.F("tuned")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project}: {self.tuned or 'as the settings say'}"


class Promotion(models.Model):
    """That a project began to ask another model. Only ever added."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="promotions")
    tuned = models.ForeignKey(
        Training,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="promotions",
        help_text="Empty: what the settings name.",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    why = models.JSONField(default=dict, help_text="The numbers that were on the page.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["project", "-id"], name="promotion_newest")]

    def __str__(self) -> str:
        return f"{self.project}: {self.tuned or 'as the settings say'}"

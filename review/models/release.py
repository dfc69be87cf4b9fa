"""A numbered, frozen export of a project's preferences, to train on."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .project import Project


class ReleaseState(models.TextChoices):
    WAITING = "waiting", _("Waiting to be made")
    MAKING = "making", _("Being made")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")


UNMADE = (ReleaseState.WAITING, ReleaseState.MAKING)


class ReleaseQuerySet(models.QuerySet["Release"]):
    def due(self, now: datetime.datetime) -> ReleaseQuerySet:
        """Those that a worker should make now: nobody does, or who did is given up for dead."""
        free = self.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lte=now))
        return free.filter(state__in=UNMADE).order_by("pk")


class Release(models.Model):
    """A release is a job until it is ready; from then on it and its files never change.

    Its files are in `folder` under TAGGER_VAR; `files` names each with its rows, bytes and
    sha256. It may be deleted only while nobody has downloaded it.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="releases")
    number = models.PositiveIntegerField(help_text="1, 2, 3 … in its project; never given again.")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Empty for a command.",
    )
    note = models.CharField(max_length=500, blank=True, help_text="What it is for.")
    filters = models.JSONField(default=dict, help_text="The fields of pipeline/release's Filters.")
    formats = models.JSONField(default=list, help_text="Names of writers/: each is a folder of it.")
    state = models.CharField(
        max_length=10, choices=ReleaseState.choices, default=ReleaseState.WAITING
    )
    reason = models.TextField(blank=True, help_text="Why it failed, in a sentence.")
    decisions_done = models.PositiveIntegerField(default=0, help_text="Read so far.")
    decisions_wanted = models.PositiveIntegerField(default=0, help_text="To be read.")
    counts = models.JSONField(
        default=dict, help_text="What it holds and what was left out: as in its manifest."
    )
    files = models.JSONField(default=list, help_text="[{name, rows, bytes, sha256}]")
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    downloaded_at = models.DateTimeField(null=True, blank=True, help_text="For the first time.")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)

    objects = ReleaseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="release_number_unique"),
        ]
        indexes = [
            models.Index(fields=["id"], name="release_unmade", condition=Q(state__in=UNMADE)),
        ]

    def __str__(self) -> str:
        return f"Release {self.number}"

    @property
    def folder(self) -> str:
        """Relative to TAGGER_VAR."""
        return f"releases/{self.project_id}/{self.number}"

    @property
    def moves(self) -> bool:
        return self.state in UNMADE

    @property
    def percent(self) -> int:
        if self.state == ReleaseState.READY:
            return 100
        wanted = self.decisions_wanted
        return min(99, 100 * self.decisions_done // wanted) if wanted else 0

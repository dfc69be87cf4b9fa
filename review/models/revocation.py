"""That a reviewer's decisions in a project do not count, as a whole; or count again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from .project import Project

LONGEST_REASON = 500  # characters


class RevocationVerb(models.TextChoices):
    REVOKE = "revoke", _("Revoked")
    RESTORE = "restore", _("Taken back")


class Revocation(models.Model):
    """One act of an owner on all that a reviewer has decided; the latest of a reviewer counts.

    Never changed, but for how far the work of it is: see pipeline/revoke.py.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="revocations")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="revocations"
    )
    verb = models.CharField(max_length=10, choices=RevocationVerb.choices)
    reason = models.CharField(max_length=LONGEST_REASON)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Empty for a command on the server.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    waiting = models.BooleanField(default=True, help_text="It is not done on all documents yet.")
    reached = models.BigIntegerField(default=0, help_text="The last document that it is done on.")
    documents = models.PositiveIntegerField(default=0, help_text="Changed by it so far.")

    class Meta:
        indexes = [
            models.Index(fields=["project", "reviewer", "-id"], name="revocation_latest"),
            models.Index(fields=["id"], name="revocation_waiting", condition=Q(waiting=True)),
        ]

    def __str__(self) -> str:
        return f"{self.reviewer}: {self.verb}"

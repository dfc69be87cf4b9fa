"""Who may do what in a project."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .project import Project


class Role(models.TextChoices):
    REVIEWER = "reviewer", _("Reviewer: picks")
    CURATOR = "curator", _("Curator: owns the vocabulary")
    OWNER = "owner", _("Owner: all of it")

    def covers(self, other: Role) -> bool:
        """Whether this role may do what the other may: each may do all of those before it."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.REVIEWER)
    entered_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When they last chose to work in it."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_role_per_member"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"

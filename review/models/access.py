"""Who may do what in a project."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from .project import Project


class Role(models.TextChoices):
    REVIEWER = "reviewer", "Reviewer: picks"
    CURATOR = "curator", "Curator: owns the vocabulary"
    OWNER = "owner", "Owner: all of it"


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.REVIEWER)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_role_per_member"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"

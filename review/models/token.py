"""The keys of programs that ask through the API."""

from __future__ import annotations

import datetime

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from .project import Project


class Scope(models.TextChoices):
    READ = "read", _("read: documents, tags, proposals, decisions and releases")
    WRITE = "write", _("write: hand documents in, order releases")
    REVIEW = "review", _("review: take the next document and decide on it")


class Token(models.Model):
    """Lets a program act as its user, in one project, within its scopes.

    What the program holds is stored nowhere, only its hash: a copy of the database opens no
    door. It stops working with its user's membership, too.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tokens")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens"
    )
    name = models.CharField(max_length=100, help_text="What it is for.")
    scopes = models.JSONField(help_text='A list: ["read", "write"].')
    prefix = models.CharField(max_length=20, help_text="Its beginning, to tell it from others.")
    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To about a minute.")

    def __str__(self) -> str:
        return self.name

    def works(self, now: datetime.datetime) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and self.expires_at > now

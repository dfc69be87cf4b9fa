"""The chain that every decision becomes a link of, so that none can be changed unseen."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from .decision import Decision


class Person(models.Model):
    """Who a reviewer is in the chain: a key that says nothing of them.

    Their name and address are in their account only, and can be erased there. Rows are never
    changed or deleted: the database refuses it.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="person"
    )
    key = models.UUIDField(unique=True, default=uuid.uuid4)

    def __str__(self) -> str:
        return self.key.hex


class Link(models.Model):
    """A decision's place in the chain: 1, 2, 3 … without gaps, in the order of sealing.

    Written by pipeline/seal.py; the database refuses to change or delete it, and the decisions
    themselves as well (migration 0018). Of two that seal at once, one finds the position taken.
    """

    position = models.BigIntegerField(primary_key=True)
    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="link")
    sha256 = models.CharField(
        max_length=64, help_text="Of the last link's and of what the decision says."
    )
    parts = models.CharField(
        max_length=60, help_text="The beginning of the sha256 of each part of what it says."
    )

    def __str__(self) -> str:
        return f"{self.position}:{self.sha256}"

"""When the sweeper was last through."""

from __future__ import annotations

from django.db import models


class Swept(models.Model):
    """One row: what heals everything else says here that it still runs."""

    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S}"

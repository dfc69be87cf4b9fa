"""How often tags are used, without counting: the sweeper adds what is new."""

from __future__ import annotations

from django.db import models

from .vocabulary import Tag


class TagUse(models.Model):
    """Of one tag, as far as Counted says: a minute or two behind. See pipeline/tag_use.py."""

    tag = models.OneToOneField(Tag, on_delete=models.CASCADE, related_name="use")
    proposed = models.PositiveBigIntegerField(default=0, help_text="Proposals with it in a set.")
    picked = models.BigIntegerField(default=0, help_text="Picks of a set with it.")
    corrected_in = models.BigIntegerField(
        default=0, help_text="Given by a person where no set on the page had it."
    )
    corrected_out = models.BigIntegerField(
        default=0, help_text="Left out by a person who gave another set, where one had it."
    )
    last_used_at = models.DateTimeField(null=True, help_text="In a set that a person gave.")

    def __str__(self) -> str:
        return f"{self.tag}: {self.proposed}"


class Counted(models.Model):
    """One row: up to which proposal and decision the uses are counted."""

    proposal = models.BigIntegerField(default=0)
    decision = models.BigIntegerField(default=0)
    at = models.DateTimeField(null=True, help_text="When it was counted last.")

    def __str__(self) -> str:
        return f"to proposal {self.proposal}, decision {self.decision}"

"""Preference pairs as JSON lines, for DPO training."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from review.models import Project
from review.pipeline.pair import pairs
from review.writers.trl import preference_line


class Command(BaseCommand):
    help = (
        "Print the preference pairs of all picks as JSON lines in TRL's conversational form "
        "(prompt, chosen, rejected), up to two a pick: `… export_preferences > pairs.jsonl`."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for project in Project.objects.order_by("pk"):
            same = 0
            for pair in pairs(project):
                if pair.same_now:
                    same += 1
                    continue
                self.stdout.write(preference_line(pair.messages, pair.chosen, pair.rejected))
            if same:
                told = f"{project}: {same} pairs left out, whose sides merges have made one set."
                self.stderr.write(told)

"""The tags that people gave, as JSON lines."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from review.models import Project
from review.pipeline.tags_out import tagged
from review.writers.expected_json import expected_line


class Command(BaseCommand):
    help = (
        "Print every reviewed document with its final tags, one a line: "
        '{"id": "5201", "tags": [{"id": 25, "name": "security"}]}.'
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for project in Project.objects.order_by("pk"):
            for document, tags in tagged(project):
                numbered = [(tag.number, tag.name) for tag in tags]
                self.stdout.write(expected_line(document.external_id, numbered))

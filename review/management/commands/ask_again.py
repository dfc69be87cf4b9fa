"""A second chance for documents that failed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from review.models import Document
from review.pipeline.propose import ask_again
from review.tasks import fill_queue


class Command(BaseCommand):
    help = "Let the model read all failed documents once more."

    def handle(self, *args: Any, **options: Any) -> None:
        count = ask_again(Document.objects.all())
        fill_queue()
        self.stdout.write(f"{count} documents wait for the model again.")

"""Known answers from a file: documents to measure reviewers by, see docs/people.md."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.models import Project
from review.pipeline import gold
from review.readers import Refused
from review.readers.known import read_known


class Command(BaseCommand):
    help = (
        "Make documents gold, by JSON lines with external_id, best and, if you like, acceptable. "
        "All lines are kept, or none. See docs/people.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--project", help="By its name; else the first one.")

    def handle(self, *args: Any, **options: Any) -> None:
        projects, name = Project.objects.order_by("pk"), options["project"]
        project = (projects.filter(name=name) if name else projects).first()
        if project is None:
            raise CommandError("There is no project of this name." if name else "No project yet.")
        try:
            with options["file"].open("rb") as file:
                count = gold.mark_all(project, read_known(file))
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
        except (Refused, gold.NotKept) as refused:
            raise CommandError(f"Nothing was kept. {refused}") from refused
        self.stdout.write(f"{count:,} documents of “{project}” are gold by this file.")
        if not project.gold_every:
            self.stderr.write("None is handed out yet: set “gold every” in the project's settings.")

"""An archive of `backup` into an empty install."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.pipeline.backup_archive import Refused
from review.pipeline.restore import restore


class Command(BaseCommand):
    help = (
        "Put all that an archive of `backup` holds into an empty install, on the same or on the "
        "other database, of the same or the next version. All or nothing. See docs/backup.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            restored = restore(options["file"], self.told)
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stderr.write("")
        head = restored.head
        without = ", without the files of releases and models" if restored.without_files else ""
        self.stdout.write(
            f"{restored.rows:,} rows and {restored.files:,} files, as they were at "
            f"{restored.created_at}{without}."
        )
        if head.position:
            self.stdout.write(f"Now: manage.py verify --head {head.position}:{head.sha256}")

    def told(self, what: str, done: int, of: int) -> None:
        end = "\r" if sys.stderr.isatty() else "\n"
        self.stderr.write(f"{done:,} of {of:,} {what}", ending=end)

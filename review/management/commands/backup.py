"""All of Tagger in one archive, while it runs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.pipeline.backup import NotWritten, backup


class Command(BaseCommand):
    help = (
        "Write all rows, as they are at one moment, and the files of releases and models to one "
        "archive with checksums. Everybody can go on working. See docs/backup.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="A name that is not there yet: tagger.zip.")
        parser.add_argument(
            "--without-files", action="store_true", help="Only rows: no releases' files, no models."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["file"]
        try:
            written = backup(path, files=not options["without_files"], told=self.told)
        except NotWritten as error:
            raise CommandError(str(error)) from error
        self.stderr.write("")
        for name in written.missing:
            self.stderr.write(f"Not on this machine, and so not in it: {name}")
        self.stdout.write(
            f"{path}: {written.rows:,} rows and {written.files:,} files, {written.bytes:,} bytes."
        )

    def told(self, rows: int) -> None:
        self.stderr.write(f"{rows:,} rows so far", ending="\r" if sys.stderr.isatty() else "\n")

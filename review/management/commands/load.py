"""Documents in, from files."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.models import Project
from review.pipeline.intake import take_in
from review.readers import Incoming
from review.readers.jsonl import read_jsonl
from review.readers.markdown_folder import read_file, read_folder
from review.tasks import fill_queue


class Command(BaseCommand):
    help = (
        "Load documents: a JSON lines file (objects with id, text and, if you like, title and "
        "source), a folder of Markdown and text files, or a single file. The same again adds "
        "nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)

    def handle(self, *args: Any, path: Path, **options: Any) -> None:
        project = Project.objects.order_by("pk").first()
        if project is None:
            raise CommandError("There is no project yet. `make run` makes the first one.")
        try:
            intake = take_in(project, read(path))
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        fill_queue()
        self.stdout.write(f"{path}: {intake}.")


def read(path: Path) -> Iterator[Incoming]:
    if path.is_dir():
        yield from read_folder(path)
    elif path.suffix == ".jsonl":
        with path.open("rb") as lines:
            yield from read_jsonl(lines, path.name)
    else:
        yield read_file(path, path.name)

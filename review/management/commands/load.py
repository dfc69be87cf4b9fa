"""Documents in, from files, folders, working trees and the web."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.models import Import, Project
from review.pipeline.importing import PAGE, NotColumns, load_file, load_now
from review.pipeline.intake import Intake, most_bytes
from review.readers import Refused
from review.readers.git_tree import read_git_trees
from review.readers.installed_packages import read_installed_packages
from review.readers.markdown_folder import read_folder
from review.readers.row import FIELDS
from review.readers.web_page import read_page
from review.tasks import fill_queue

SHOWN = 10  # problems; the others are on the import's page


def columns(text: str) -> dict[str, str]:
    """`id=Nr,text=Body` → {"id": "Nr", "text": "Body"}."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    if any(field not in FIELDS or not name for field, _, name in pairs):
        raise ArgumentTypeError(f"give FIELD=COLUMN, with a field of {', '.join(FIELDS)}")
    return {field: name for field, _, name in pairs}


class Command(BaseCommand):
    help = (
        "Load documents: JSON lines, JSON, CSV or TSV, a ZIP or a folder of Markdown, text, HTML "
        "and reStructuredText files, a single such file, or a page of the web. The same again "
        "adds nothing. See docs/formats-in.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "path", nargs="?", default="", help="A file, a folder, or an address: https://…"
        )
        parser.add_argument("--project", help="By its name; else the first one.")
        parser.add_argument(
            "--map",
            type=columns,
            metavar="FIELD=COLUMN,…",
            help=f"Which column (or key, in JSON) is which: {', '.join(FIELDS)}.",
        )
        kind = parser.add_mutually_exclusive_group()
        kind.add_argument(
            "--git", action="store_true", help="The READMEs of the Git working trees there."
        )
        kind.add_argument(
            "--packages",
            action="store_true",
            help="The READMEs of the Python packages installed here, without a path.",
        )

    def handle(self, *args: Any, path: str, project: str | None, **options: Any) -> None:
        found = Project.objects.order_by("pk")
        chosen = (found.filter(name=project) if project else found).first()
        if chosen is None:
            told = "There is no project of this name." if project else NO_PROJECT
            raise CommandError(told)
        try:
            record, intake = self.load(chosen, path, **options)
        except (Refused, NotColumns) as error:
            raise CommandError(f"{path}: {error}") from error
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        fill_queue()
        self.stdout.write(f"{path}: {intake}.")
        for problem in intake.problems[:SHOWN]:
            where = f"line {problem.line}" if problem.line else problem.external_id
            self.stderr.write(f"  {where}: {problem.reason}")
        if intake.failed > SHOWN:
            self.stderr.write(f"  … and {intake.failed - SHOWN} more: see /imports/{record.pk}")

    def load(
        self,
        project: Project,
        path: str,
        *,
        map: dict[str, str] | None,
        git: bool,
        packages: bool,
        **options: Any,
    ) -> tuple[Import, Intake]:
        if packages:
            return load_now(project, "Python packages", "packages", read_installed_packages())
        if path.startswith(("http://", "https://")):
            return load_now(project, path, PAGE, iter([read_page(path, most_bytes())]))
        if not path:
            raise CommandError("Say what to load: a file, a folder, or an address.")
        place = Path(path)
        if git:
            place.stat()
            return load_now(project, path, "git", read_git_trees(place, most_bytes()))
        if place.is_dir():
            return load_now(project, path, "folder", read_folder(place, most_bytes()))
        return load_file(project, place, map)


NO_PROJECT = "There is no project yet. `make run` makes the first one."

"""The tag list in and out, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from review.models import Project
from review.pipeline.tag_list import FORMATS, compare, export
from review.pipeline.vocabulary import NotAllowed, carry_out, last_change, read
from review.readers import Refused
from review.readers.tag_file import read_tags


class Command(BaseCommand):
    help = "Import or export the tag list: .json, .csv, .xlsx, .ttl or .rdf, by the file's ending."

    def add_arguments(self, parser: CommandParser) -> None:
        way = parser.add_mutually_exclusive_group(required=True)
        way.add_argument("--import", dest="source", type=Path, metavar="FILE")
        way.add_argument("--export", dest="target", type=Path, metavar="FILE")
        parser.add_argument("--project", help="Its name; needed where there are several.")
        parser.add_argument("--apply-good", action="store_true", help="In spite of bad rows.")
        parser.add_argument("--retire-absent", action="store_true", help="What the file has not.")

    def handle(self, *args: Any, **options: Any) -> None:
        project = self.project(options["project"])
        if options["target"]:
            form = options["target"].suffix.lstrip(".").lower()
            if form not in FORMATS:
                raise CommandError(f"The ending is one of {', '.join(FORMATS)}.")
            options["target"].write_bytes(export(project, form))
            return
        seen = last_change(project)
        try:
            rows = read_tags(options["source"].read_bytes(), options["source"].name)
            found = compare(read(project), rows, options["retire_absent"])
        except (OSError, Refused, NotAllowed) as problem:
            raise CommandError(str(problem)) from problem
        for bad in found.bad:
            self.stderr.write(f"row {bad.row}: {bad.problem}")
        if found.bad and not options["apply_good"]:
            raise CommandError("Nothing was changed. The good rows alone: --apply-good.")
        if found.plan is None:
            self.stdout.write("The list says so already.")
            return
        carry_out(project, found.plan, None, seen)
        self.stdout.write(f"{len(found.plan.after)} tags added or changed, {found.same} as before.")

    def project(self, name: str | None) -> Project:
        projects = Project.objects.filter(name=name) if name else Project.objects.all()
        if len(projects) != 1:
            raise CommandError("Name the project: --project NAME.")
        return projects[0]

"""A release from the command line: ordered and made here and now."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.models import Project, ReleaseState
from review.pipeline import release
from review.pipeline.filters import POLICIES


class Command(BaseCommand):
    help = (
        "Write a project's preferences to a new folder under var/releases, numbered and never "
        "changed afterwards, and print the folder. Progress goes to standard error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("project", nargs="?", help="By its name; else the first one.")
        formats = ", ".join(release.FORMATS)
        first = ", ".join(release.FORMATS_AT_FIRST)
        add("--format", action="append", help=f"More than once: {formats}. Else {first}.")
        add("--policy", choices=POLICIES, default="majority", help="Where people disagree.")
        add("--since", default="", help="Only decisions from this day on: 2026-01-31.")
        add("--until", default="", help="Only decisions up to this day.")
        for name in ("reviewers", "without-reviewers", "models", "prompt-versions"):
            add(f"--{name}", nargs="+", default=[], metavar="NAME")
        add("--on-policy", action="store_true", help="Only sets that the model itself said.")
        add("--one-pair", action="store_true", help="At most one pair for a decision.")
        add("--min-agreement", type=float, default=0, metavar="SHARE")
        add("--min-self-consistency", type=float, default=0, metavar="SHARE")
        add("--with-gold", action="store_true", help="Also decisions on gold documents.")
        add("--note", default="", help="What it is for.")

    def handle(self, *args: Any, **options: Any) -> None:
        found = Project.objects.order_by("pk")
        name = options["project"]
        project = (found.filter(name=name) if name else found).first()
        if project is None:
            raise CommandError("There is no project of this name." if name else "No project yet.")
        asked = {key: options[key] for key in release.Filters().as_dict()}
        formats = [
            one
            for given in options["format"] or release.FORMATS_AT_FIRST
            for one in given.split(",")
        ]
        try:
            filters = release.Filters.from_dict(asked)
            ordered = release.order(project, filters, formats, note=options["note"])
        except release.NotFilters as error:
            raise CommandError(str(error)) from error
        release.make(ordered.pk, self.told)
        ordered.refresh_from_db()
        self.stderr.write("")
        if ordered.state != ReleaseState.READY:
            raise CommandError(ordered.reason or "Another worker is making it.")
        counts = ordered.counts
        self.stderr.write(
            f"{ordered}: {counts['pairs']:,} pairs of {counts['decisions']:,} decisions on "
            f"{counts['documents']:,} documents."
        )
        self.stdout.write(str(release.folder_of(ordered)))

    def told(self, done: int, of: int) -> None:
        end = "\r" if sys.stderr.isatty() else "\n"
        self.stderr.write(f"{done:,} of {of:,} decisions read", ending=end)

"""Whether the decisions and the releases are what they were."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.models import Project
from review.pipeline.seal import Head
from review.pipeline.verify import Verified, verify

MOST_PRINTED = 100


class Command(BaseCommand):
    help = (
        "Walk the chain of the decisions, compare what counts with what they say, and the files "
        "of each release with its manifest. Prints what is wrong, and ends with 1 if anything is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--project", help="By its name: only its decisions and releases.")
        parser.add_argument(
            "--release", type=int, metavar="N", help="Only this release; of the project named."
        )
        parser.add_argument(
            "--head", metavar="N:SHA256", help="A head that was noted elsewhere must be there."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = None
        if name := options["project"]:
            project = Project.objects.filter(name=name).first()
            if project is None:
                raise CommandError("There is no project of this name.")
        seen, found = Verified(), 0
        noted = self.noted(options["head"])
        for problem in verify(seen, project, options["release"], noted, self.told):
            found += 1
            if found <= MOST_PRINTED:
                self.stdout.write(problem)
        if options["release"] is not None and not seen.releases:
            raise CommandError("There is no such release that was made.")
        more = f", of which the first {MOST_PRINTED} are told" if found > MOST_PRINTED else ""
        looked = f"{seen.releases:,} releases looked at"
        if options["release"] is None:
            looked = f"{seen.links:,} links and {looked}; {seen.waiting:,} decisions wait for it"
            self.stdout.write(f"The head is {seen.head.position}:{seen.head.sha256}")
        if found:
            raise CommandError(f"{found:,} things are wrong{more}. {looked}.")
        self.stdout.write(f"Nothing is wrong. {looked}.")

    def noted(self, given: str | None) -> Head | None:
        if given is None:
            return None
        if not re.fullmatch("[0-9]{1,18}:[0-9a-f]{64}", given):
            raise CommandError("Give the head as it is printed: its number, a colon, its hash.")
        position, sha256 = given.split(":")
        return Head(int(position), sha256)

    def told(self, done: int, of: int) -> None:
        end = "\r" if sys.stderr.isatty() else "\n"
        self.stderr.write(f"{done:,} of {of:,} links", ending=end)

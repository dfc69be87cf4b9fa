"""What a reviewer decided in a project counts no more, or again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from review.models import Project
from review.pipeline import revoke
from review.pipeline.refusal import Conflict


class Command(BaseCommand):
    help = (
        "Revoke all that a reviewer has decided in a project: it stays, but counts for nothing, "
        "and its documents are opened again. --restore takes that back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--project", help="By its name; else the first one.")
        parser.add_argument("--reason", required=True, help="It stays with the act.")
        parser.add_argument("--restore", action="store_true", help="Let it count again.")

    def handle(self, *args: Any, **options: Any) -> None:
        projects, name = Project.objects.order_by("pk"), options["project"]
        project = (projects.filter(name=name) if name else projects).first()
        if project is None:
            raise CommandError("There is no project of this name." if name else "No project yet.")
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError("There is no account of this name.")
        act = revoke.restore if options["restore"] else revoke.revoke
        try:
            done = act(project, user, options["reason"])
        except Conflict as refused:
            raise CommandError(str(refused)) from refused
        while done.waiting:
            self.stderr.write(f"{done.documents:,} documents so far")
            revoke.go_on(revoke.AT_FIRST)
            done.refresh_from_db()
        self.stdout.write(f"{done.documents:,} documents were changed.")

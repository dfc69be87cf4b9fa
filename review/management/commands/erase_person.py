"""The identity of a person goes; what they decided stays."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from review.pipeline.erase import erase
from review.pipeline.refusal import Conflict


class Command(BaseCommand):
    help = (
        "Erase an account: its name, addresses, password, sessions, tokens and memberships. What "
        "the person decided stays, under a name that says nothing. It cannot be taken back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError("There is no account of this name.")
        if not options["yes"] and input("It cannot be taken back. Erase it? [y/N] ") != "y":
            raise CommandError("Nothing was changed.")
        try:
            name = erase(user)
        except Conflict as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(f"Erased. What was decided is under {name}.")

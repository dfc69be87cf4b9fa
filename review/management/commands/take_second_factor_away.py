"""For who lost their telephone and their recovery codes, and for no superuser else to ask."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from review.pipeline.second_factor import take_away


class Command(BaseCommand):
    help = "Take a user's second factor away: the admin then asks for none, or to set one up anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no account with the name {options['username']!r}.")
        if not take_away(user):
            raise CommandError(f"{user} has no second factor.")
        self.stdout.write(f"{user} has no second factor any more.")

"""What the configured model servers honour, found out now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from review.llm.errors import NoAnswer, Refused, Unavailable
from review.pipeline import served
from review.pipeline.endpoint import NoModel, everywhere


class Command(BaseCommand):
    help = (
        "Ask each configured model something small, print what its server honours, and remember "
        "it. The workers do so by themselves with the first documents: this is for a server that "
        "has learned something since."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            asked = everywhere()
        except NoModel as error:
            raise CommandError(str(error)) from error
        troubles = []
        for endpoint in asked:
            try:
                row = served.probe(endpoint)
            except (Unavailable, NoAnswer, Refused) as error:
                troubles.append(str(error))
                continue
            self.stdout.write(str(row))
            for name, value in row.manners.items():
                self.stdout.write(f"  {name}: {value if value != '' else 'none'}")
        if troubles:
            raise CommandError("\n".join(troubles))

"""A backlog at the provider's batch API, from the command line."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from review.models import Batch, Project
from review.models.batch import OPEN
from review.pipeline import batch
from review.tasks import tell_batches

NO_PROJECT = "There is no project yet. `make run` makes the first one."
LATEST = 20


class Command(BaseCommand):
    help = (
        "Have waiting documents read by the provider's batch API: within a day, for about half "
        "the price. `start` says what it will take, and asks first; `status` shows how far they "
        "are; `cancel` calls one off; `work` does here and now what the workers do each minute."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        start = acts.add_parser("start")
        start.add_argument("--limit", type=int, help="So many documents; else all that wait.")
        start.add_argument("--project", help="By its name; else the first one.")
        start.add_argument("--yes", action="store_true", help="Begin without asking.")
        for way in ("in", "out"):
            start.add_argument(f"--cost-{way}", type=float, metavar="PRICE", help=PRICE)
        acts.add_parser("status")
        acts.add_parser("cancel").add_argument("number", type=int)
        acts.add_parser("work")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        getattr(self, act)(**options)

    def start(self, *, limit: int | None, project: str | None, yes: bool, **prices: Any) -> None:
        if limit is not None and limit < 1:
            raise CommandError("Give --limit a number from 1 on.")
        found = Project.objects.order_by("pk")
        chosen = (found.filter(name=project) if project else found).first()
        if chosen is None:
            raise CommandError("There is no project of this name." if project else NO_PROJECT)
        try:
            about = batch.estimate(chosen)
            count = min(about.waiting, limit or about.waiting)
            tokens = (count * about.tokens_in, count * about.tokens_out)
            self.stdout.write(
                f"{about.waiting:,} documents wait. {count:,} of them take about "
                f"{tokens[0]:,.0f} tokens in and {tokens[1]:,.0f} out."
            )
            paid = (prices.get("cost_in"), prices.get("cost_out"))
            if any(paid):
                cost = sum(many * (price or 0) for many, price in zip(tokens, paid, strict=True))
                self.stdout.write(f"At these prices: about {cost / 1e6:,.2f}.")
            if not yes and count and input("Begin? [y/N] ").strip().lower() not in ("y", "yes"):
                raise CommandError("Nothing was begun.")
            begun = batch.start(chosen, None, count)
        except batch.NoBatch as error:
            raise CommandError(str(error)) from error
        tell_batches()
        self.stdout.write(f"{begun} is being put together; `manage.py batch status` shows it.")

    def status(self, **options: Any) -> None:
        for one in Batch.objects.order_by("-pk")[:LATEST]:
            self.stdout.write(
                f"{one}: {one.get_state_display()}, {one.percent} %. {one.documents} documents: "
                f"{one.stored} with candidates, {one.again} asked again, {one.failed} failed, "
                f"{one.left} not answered, {one.dropped} changed meanwhile. "
                f"{one.tokens_in:,} tokens in, {one.tokens_out:,} out. {one.error}".rstrip()
            )

    def cancel(self, *, number: int, **options: Any) -> None:
        found = Batch.objects.filter(pk=number).first()
        if found is None:
            raise CommandError(f"There is no batch {number}.")
        if not batch.cancel(found):
            raise CommandError(f"Batch {number} has ended, or is called off already.")
        tell_batches()
        self.stdout.write(f"Batch {number} is called off. What is answered by then is kept.")

    def work(self, **options: Any) -> None:
        for key in Batch.objects.due(timezone.now()).values_list("pk", flat=True)[:LATEST]:
            batch.work(key)
        self.status()
        self.stdout.write(f"{Batch.objects.filter(state__in=OPEN).count()} are under way.")


PRICE = "Of a million tokens, in a batch: with both, what it costs is estimated."

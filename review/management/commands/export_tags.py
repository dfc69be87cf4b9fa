"""The tags that people gave, as a file."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from review.models import DocumentState, Project
from review.pipeline.tags_out import Tagged, Wanted, tagged
from review.writers.expected_json import expected_array, expected_line
from review.writers.tags_csv import csv_lines


class Command(BaseCommand):
    help = (
        "Print the reviewed documents with their final tags: as JSON lines "
        '{"id": "5201", "tags": [{"id": 25, "name": "security"}]}, as an array of those, or as CSV '
        "(there a cell that begins with = + - @ gets a quote before it, so that no spreadsheet "
        "computes it; the others are exact)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=["jsonl", "json", "csv"], default="jsonl")
        parser.add_argument("--project", help="The name of one project; else all of them.")
        when = "a day (2026-07-01) or a time (2026-07-01T12:00:00Z)"
        parser.add_argument("--since", type=moment, help=f"Reviewed at or after {when}.")
        parser.add_argument("--until", type=moment, help=f"Reviewed before {when}.")
        parser.add_argument(
            "--state",
            choices=DocumentState.values,
            default=DocumentState.REVIEWED,
            help="The documents in this state; only reviewed ones have tags.",
        )
        parser.add_argument(
            "--min-agreement",
            type=share,
            default=0.0,
            help="The least share of the reviewers whose set is the final one: 0 to 1.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = Wanted(
            DocumentState(options["state"]),
            options["since"],
            options["until"],
            options["min_agreement"],
        )
        projects = Project.objects.order_by("pk")
        if options["project"]:
            projects = projects.filter(name=options["project"])
        found = (one for project in projects for one in tagged(project, wanted))
        for piece in written(found, options["format"]):
            self.stdout.write(piece, ending="")


def written(found: Iterator[Tagged], form: str) -> Iterator[str]:
    """The pieces of the file."""
    if form == "csv":
        yield from csv_lines(
            (one.document.external_id, one.document.title, numbered(one), one.agreement, at(one))
            for one in found
        )
    elif form == "json":
        yield from expected_array((one.document.external_id, numbered(one)) for one in found)
    else:
        for one in found:
            yield expected_line(one.document.external_id, numbered(one)) + "\n"


def numbered(one: Tagged) -> list[tuple[int, str]]:
    return [(tag.number, tag.name) for tag in one.tags]


def at(one: Tagged) -> str:
    return one.at.isoformat(timespec="seconds") if one.agreement is not None else ""


def moment(text: str) -> datetime.datetime:
    """The time, or the beginning of the day; in UTC where it names no zone."""
    try:
        found = parse_datetime(text)
        day = parse_date(text)
    except ValueError:
        found = day = None
    if day is not None:
        found = datetime.datetime.combine(day, datetime.time())
    if found is None:
        raise ArgumentTypeError(f"{text} is neither a day nor a time.")
    return found if timezone.is_aware(found) else found.replace(tzinfo=datetime.UTC)


def share(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found <= 1:
        raise ArgumentTypeError(f"{text} is not a number from 0 to 1.")
    return found

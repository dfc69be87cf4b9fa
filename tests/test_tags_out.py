"""manage.py export_tags: its three forms, and what it leaves out."""

from __future__ import annotations

import csv
import datetime
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from review.models import Decision, Role

from .base import HouseTestCase
from .tampering import tampering

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    'a"b',
    "a,b",
    "a\nb",
    "'x",
    "5201",
]


def export(*options: str) -> str:
    out = io.StringIO()
    call_command("export_tags", *options, stdout=out)
    return out.getvalue()


def ids(*options: str) -> list[str]:
    return [json.loads(line)["id"] for line in export(*options).splitlines()]


class Exporting(HouseTestCase):
    def pick(self, place: int = 0, user: User | None = None) -> Decision:
        self.client.force_login(user or self.alice)
        page = self.page()
        # By the candidate, not by its place: that is another for another person.
        self.client.post(sorted(page.urls)[place], page.fields)
        return Decision.objects.latest("pk")

    def test_the_seeds_array_and_json_lines_say_the_same(self) -> None:
        for number in ("1", "2"):
            self.ready(number)
            self.pick()
        lines = [json.loads(line) for line in export().splitlines()]
        self.assertEqual(json.loads(export("--format", "json")), lines)
        self.assertEqual([line["id"] for line in lines], ["1", "2"])
        self.assertTrue(all(set(tag) == {"id", "name"} for tag in lines[0]["tags"]))

    def test_an_array_of_none_is_an_array(self) -> None:
        self.assertEqual(json.loads(export("--format", "json")), [])

    def test_no_cell_of_the_csv_is_a_formula_and_all_else_is_as_it_was(self) -> None:
        for one in HOSTILE:
            self.ready(one)
            self.pick()
        rows = list(csv.DictReader(io.StringIO(export("--format", "csv"), newline="")))
        self.assertEqual(len(rows), len(HOSTILE))
        found = {row["id"] for row in rows}
        self.assertEqual(found, {f"'{one}" if one[0] in "=+-@\t\r\n" else one for one in HOSTILE})
        for row in rows:
            for cell in row.values():
                self.assertFalse(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), cell)
        self.assertEqual(rows[0]["agreement"], "1.00")
        whole = json.loads(export().splitlines()[0])["tags"]
        names = [rows[0][f"tag_{place}"] for place in (1, 2, 3)]
        self.assertEqual([name for name in names if name], [tag["name"] for tag in whole])
        self.assertEqual(rows[0]["tag_ids"], " ".join(str(tag["id"]) for tag in whole))

    def test_by_the_time_of_the_last_decision(self) -> None:
        moment = timezone.now().replace(microsecond=0)
        for number, days in (("old", 10), ("new", 0)):
            self.ready(number)
            decision = self.pick()
            at = moment - datetime.timedelta(days=days)
            with tampering():
                Decision.objects.filter(pk=decision.pk).update(created_at=at)
        day = (moment - datetime.timedelta(days=5)).date().isoformat()
        self.assertEqual(ids("--since", day), ["new"])
        self.assertEqual(ids("--until", day), ["old"])
        self.assertEqual(ids("--since", moment.isoformat()), ["new"])
        self.assertEqual(ids("--until", moment.isoformat()), ["old"])

    def test_by_the_share_of_reviewers_who_chose_the_final_set(self) -> None:
        carol = self.member("carol", Role.CURATOR)
        self.project.reviews_needed = 3
        self.project.save()
        for number, places in (("all", (0, 0, 0)), ("two", (0, 0, 1))):
            self.ready(number)
            for place, user in zip(places, (self.alice, self.bob, carol), strict=True):
                self.pick(place, user)
        self.client.force_login(carol)
        disputed = self.project.documents.get(external_id="two")
        tags = [tag.number for tag in Decision.objects.filter(document=disputed)[0].tags]
        self.client.post(
            f"/disputes/{disputed.pk}/settle",
            {"tags": tags, "key": "6a3e2f0c-8f0e-4c9b-9d0e-0a1b2c3d4e5f"},
        )
        self.assertEqual(ids(), ["all", "two"])
        self.assertEqual(ids("--min-agreement", "0.6"), ["all", "two"])
        self.assertEqual(ids("--min-agreement", "0.7"), ["all"])

    def test_by_state_where_only_the_reviewed_have_tags(self) -> None:
        self.ready("reviewed")
        self.pick()
        self.ready("open")
        self.document("empty", " ")
        self.assertEqual(ids(), ["reviewed"])
        self.assertEqual(export("--state", "ready"), '{"id": "open", "tags": []}\n')
        self.assertEqual(ids("--state", "failed"), ["empty"])
        self.assertEqual(ids("--project", "No such"), [])

    def test_what_is_no_option_is_refused(self) -> None:
        for option, text in (
            *(("--since", "yesterday"), ("--since", "2026-13-01"), ("--until", "")),
            *(("--min-agreement", "2"), ("--min-agreement", "nan"), ("--state", "gone")),
        ):
            with self.subTest(option=option, text=text), pytest.raises(CommandError):
                export(option, text)

    def test_costs_no_query_more_for_more_documents(self) -> None:
        counts: list[Any] = []
        for number in ("1", "2", "3"):
            self.ready(number)
            self.pick()
            with CaptureQueriesContext(connection) as queries:
                export()
            counts.append(len(queries))
        self.assertEqual(len(set(counts)), 1)

"""What comes out: preference pairs, and the tags that people gave."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from review.models import Candidate, CandidateTag, Decision, Proposal
from review.writers.trl import preference_line

from .base import HouseTestCase
from .fake_model import Reply, tags


def lines(command: str) -> list[dict[str, Any]]:
    out = StringIO()
    call_command(command, stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


class Exporting(HouseTestCase):
    def pick(self, place: int = 0) -> Candidate:
        page = self.page()
        self.client.post(page.urls[place], page.fields)
        candidate = Decision.objects.latest("pk").candidate
        assert candidate
        return candidate

    def test_a_pick_makes_two_pairs_with_the_prompt_that_the_model_was_sent(self) -> None:
        self.ready()
        picked = self.pick()
        pairs = lines("export_preferences")
        self.assertEqual(len(pairs), 2)
        for pair in pairs:
            self.assertEqual(set(pair), {"prompt", "chosen", "rejected"})
            self.assertEqual(pair["prompt"], self.model.requests[0]["messages"])
            self.assertEqual([m["role"] for m in pair["chosen"]], ["assistant"])
            chosen = json.loads(pair["chosen"][0]["content"])
            self.assertEqual(chosen, {"tags": [tag.name for tag in picked.tags]})
        rejected = {pair["rejected"][0]["content"] for pair in pairs}
        everything = {tags("lib", "cli"), tags("lib", "http"), tags("framework")}
        self.assertEqual(rejected, everything - {tags(*chosen["tags"])})

    def test_a_rename_changes_the_tags_out_and_not_what_the_model_was_shown(self) -> None:
        self.ready()
        picked = self.pick()
        tag = picked.tags[0]
        before = tag.name
        tag.name = "another name"
        tag.save()
        self.assertIn(before, lines("export_preferences")[0]["chosen"][0]["content"])
        self.assertEqual(lines("export_tags")[0]["tags"][0]["name"], "another name")

    def test_equal_sets_never_make_a_pair(self) -> None:
        document = self.ready()
        proposal = Proposal.objects.get(document=document)
        first = proposal.candidates.get(rank=1)
        second = proposal.candidates.get(rank=2)
        second.placed_tags.all().delete()
        for position, tag in enumerate(reversed(first.tags), start=1):
            CandidateTag.objects.create(candidate=second, tag=tag, position=position)
        page = self.page()
        self.client.post(f"/candidates/{first.pk}/choose", page.fields)
        self.assertEqual(len(lines("export_preferences")), 1)
        with pytest.raises(ValueError, match="Both sides"):
            preference_line([], ["a", "b"], ["b", "a"])

    def test_one_candidate_alone_makes_no_pair_but_counts_as_the_tags(self) -> None:
        self.model.default = Reply([tags("lib")] * 3)
        self.ready()
        self.pick()
        self.assertEqual(lines("export_preferences"), [])
        self.assertEqual(
            lines("export_tags"), [{"id": "5201", "tags": [{"id": 33, "name": "lib"}]}]
        )

    def test_nothing_comes_out_before_a_pick(self) -> None:
        self.ready()
        self.assertEqual(lines("export_preferences") + lines("export_tags"), [])

    def test_the_number_of_queries_does_not_grow_with_the_picks(self) -> None:
        for number in range(4):
            self.ready(str(number))
            self.pick()
        with self.assertNumQueries(9):
            call_command("export_preferences", stdout=StringIO())

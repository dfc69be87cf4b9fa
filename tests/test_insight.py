"""The figures of insight: against scipy and worked values, and the page over known decisions."""

from __future__ import annotations

import csv
import io
import random
import subprocess
import sys
import uuid

import pytest
from defusedxml.ElementTree import fromstring
from django.contrib.auth.models import User
from django.test import Client
from scipy.stats import binomtest, chisquare

from review.insight.by_model import yields
from review.insight.decided import choices, decided
from review.insight.interval import Share, difference, wilson
from review.insight.learning import curve
from review.insight.position import chance_of
from review.insight.tag_duels import duels
from review.models import (
    Candidate,
    Decision,
    DecisionKind,
    Document,
    Price,
    Proposal,
    Purpose,
    Repeat,
    Role,
    Standing,
    Tag,
)
from review.models.decision import DecisionTag
from review.pipeline.pair import pairs

from .base import HouseTestCase
from .world import make_ready

NAMES = ("position", "models", "win-rate", "tag-duels", "consistency", "gold", "learning")


def test_wilsons_interval_is_scipys() -> None:
    draw = random.Random(1)
    cases = [(0, 1), (1, 1), (0, 40), (40, 40), (7, 1000)]
    cases += [(draw.randint(0, of), of) for of in range(2, 60)]
    for wins, of in cases:
        told = binomtest(wins, of).proportion_ci(0.95, method="wilson")
        assert wilson(wins, of) == pytest.approx((told.low, told.high), abs=1e-5)
    assert wilson(0, 0) == (0, 1)
    assert (Share(0, 0).value, Share(0, 0).low, Share(0, 0).high) == (None, None, None)


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """His own examples (1998, table II, method 10), the other way round."""
    assert difference(Share(48, 80), Share(56, 70)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert difference(Share(0, 20), Share(0, 10)) == pytest.approx((-0.1611, 0.2775), abs=1e-4)


def test_the_chance_of_counts_is_scipys() -> None:
    for counts in ([5, 5, 5], [40, 20, 30], [100, 2, 3]):
        assert chance_of(counts) == pytest.approx(chisquare(counts).pvalue)
    assert chance_of([5, 5, 4]) is None


def test_nothing_waits_for_matplotlib_at_the_start() -> None:
    start = (
        "import django, sys; django.setup(); import review.urls; print('matplotlib' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False"]


class ThePage(HouseTestCase):
    """Sets of tests/world.py: candidate 1 has the tags 0 and 1, 2 has 0 and 2, 3 has 3."""

    def setUp(self) -> None:
        super().setUp()
        self.carol = self.member("carol", Role.CURATOR)
        self.client.force_login(self.carol)
        self.names = [tag.name for tag in self.project.tags.order_by("number")[:4]]

    def documents(self, count: int) -> list[Document]:
        first = self.project.documents.count()
        make_ready(self.project, count)
        fresh = list(self.project.documents.order_by("pk")[first:])
        Proposal.objects.filter(document__in=fresh).update(
            model="small", prompt_version="5", tokens_in=100, tokens_out=20
        )
        return fresh

    def decide(
        self,
        person: User,
        document: Document,
        kind: DecisionKind = DecisionKind.PICK,
        *,
        rank: int | None = None,
        shown: tuple[int, ...] = (1, 2, 3),
        own: tuple[int, ...] = (),
        purpose: Purpose = Purpose.REVIEW,
    ) -> Decision:
        proposal = Proposal.objects.get(document=document)
        decision = Decision.objects.create(
            document=document,
            reviewer=person,
            kind=kind,
            proposal=proposal,
            candidate=Candidate.objects.get(proposal=proposal, rank=rank) if rank else None,
            skip_reason="other" if kind == DecisionKind.SKIP else "",
            shown=list(shown),
            milliseconds=1,
            key=uuid.uuid4(),
        )
        tags = self.project.tags.order_by("number")
        for position, place in enumerate(own, start=1):
            DecisionTag.objects.create(decision=decision, tag=tags[place], position=position)
        Standing.objects.create(
            document=document, reviewer=person, decision=decision, purpose=purpose
        )
        return decision

    def rows(self, name: str, client: Client | None = None) -> list[dict[str, str]]:
        answer = (client or self.client).get(f"/insight/{name}.csv")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert f'filename="{name}.csv"' in answer["Content-Disposition"]
        return list(csv.DictReader(io.StringIO(answer.content.decode())))

    def html(self) -> str:
        answer = self.client.get("/insight")
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    def test_an_empty_project_says_so_and_draws_nothing(self) -> None:
        html = self.html()
        assert html.count('class="nothing"') == len(NAMES)
        assert "<img" not in html.split("<main")[1]
        for name in NAMES:
            assert self.client.get(f"/insight/{name}.svg").status_code == 404
            assert self.rows(name) == []
        assert self.client.get("/insight/other.csv").status_code == 404
        assert 'href="/insight"' in html  # in the menu

    def test_places_are_those_of_the_page(self) -> None:
        fresh = self.documents(40)
        for document in fresh[:20]:  # on the second place
            self.decide(self.alice, document, rank=1, shown=(2, 1, 3))
        for document in fresh[20:25]:
            self.decide(self.bob, document, rank=3, shown=(3, 1, 2))
        for document in fresh[25:30]:
            self.decide(self.bob, document, rank=2)
        # None of these counts: not among three, no pick, a second time, let through, undone.
        self.decide(self.bob, fresh[30], rank=2, shown=(2, 1))
        self.decide(self.bob, fresh[31], DecisionKind.NONE)
        self.decide(self.alice, fresh[32], rank=1, purpose=Purpose.REPEAT)
        self.decide(self.alice, fresh[33], rank=1, purpose=Purpose.MACHINE)
        self.decide(self.alice, fresh[34], rank=1).standing.delete()
        first, alice, bob = self.rows("position")
        assert (first["reviewer"], first["picks"]) == ("All", "30")
        told = [float(first[place]) for place in ("first", "second", "third")]
        assert told == pytest.approx([5 / 30, 25 / 30, 0])
        assert float(first["p"]) == pytest.approx(chisquare([5, 25, 0]).pvalue)
        expected = binomtest(25, 30).proportion_ci(method="wilson")
        told = [float(first["second_low"]), float(first["second_high"])]
        assert told == pytest.approx([expected.low, expected.high], abs=1e-5)
        assert (alice["reviewer"], alice["second"], alice["second_of"]) == ("alice", "1.0", "20")
        assert (bob["reviewer"], bob["first"], bob["p"]) == ("bob", "0.5", "")  # 10: too few
        html = self.html()
        assert "n = 30 · The places are not picked equally often" in html
        assert "83 % <span" in html
        assert "&lt; 0.001" in html

    def test_models_are_told_with_their_pairs_and_tokens(self) -> None:
        fresh = self.documents(10)
        Proposal.objects.filter(document=fresh[9]).update(model="big", prompt_version="6")
        for document in fresh[:4]:
            self.decide(self.alice, document, rank=1)  # two pairs each
        self.decide(self.alice, fresh[4], rank=2)
        self.decide(self.alice, fresh[5], DecisionKind.CORRECT, own=(1, 2))  # three
        self.decide(self.alice, fresh[6], DecisionKind.NONE)
        self.decide(self.alice, fresh[7], DecisionKind.SKIP)
        self.decide(self.bob, fresh[0], rank=1)
        self.decide(self.alice, fresh[9], rank=3)
        small, big = self.rows("models")
        assert (small["model"], small["prompt_version"]) == ("small", "5")
        assert (small["decisions"], small["proposals"]) == ("9", "8")
        assert float(small["first_of_picks"]) == pytest.approx(5 / 6)
        shares = [float(small[kind]) for kind in ("picked", "corrected", "none", "skipped")]
        assert shares == pytest.approx([6 / 9, 1 / 9, 1 / 9, 1 / 9])
        assert small["pairs"] == "15"
        assert float(small["pairs_per_decision"]) == pytest.approx(15 / 9)
        assert float(small["tokens_per_pair"]) == pytest.approx(8 * 120 / 15)
        assert small["money_per_1000_pairs"] == ""
        assert "No price of a model is known" in self.html()
        Proposal.objects.filter(model="small").update(tokens_cached=40)
        Price.objects.create(model=small["model"], tokens_in=2, cached=1, tokens_out=10)
        (small,) = (row for row in self.rows("models") if row["model"] == small["model"])
        spent = 8 * (60 * 2 + 40 * 1 + 20 * 10) / 1_000_000
        assert float(small["money_per_1000_pairs"]) == pytest.approx(spent / 15 * 1000)
        assert (big["model"], big["pairs"]) == ("big", "2")
        assert "No price of a model is known" not in self.html()

    def test_pairs_are_as_many_as_the_pipelines(self) -> None:
        """Also where tags were merged, a curator settled otherwise, and no model answered."""
        fresh = self.documents(30)
        draw = random.Random(4)
        for document in fresh:
            self.decide(self.alice, document, rank=draw.randint(1, 3))
        self.decide(self.bob, fresh[0], DecisionKind.CORRECT, own=(0, 3))
        self.decide(self.bob, fresh[1], DecisionKind.CORRECT, own=(1, 3))
        one, other = self.project.tags.order_by("number")[1:3]
        for place in (2, 3, 4):
            self.decide(
                *(self.carol, fresh[place], DecisionKind.SETTLE),
                own=(3,),
                purpose=Purpose.FINAL,
            )
        self.decide(self.carol, fresh[5], DecisionKind.SETTLE, purpose=Purpose.FINAL)
        Proposal.objects.filter(document=fresh[6]).update(
            model="words counted (no model was there)"
        )

        def counted() -> tuple[int, int]:
            read = decided(self.project)
            ours = sum(one.pairs for one in yields(read, choices(self.project, read)))
            theirs = [it for it in pairs(self.project) if it.decision.kind != DecisionKind.SETTLE]
            return ours, sum(not it.same_now for it in theirs)

        before = counted()
        assert before[0] == before[1] > 40
        Tag.objects.filter(pk=one.pk).update(merged_into=other)
        after = counted()
        assert after[0] == after[1] < before[0]

    def test_tags_meet_where_sets_differ_in_one_each(self) -> None:
        fresh = self.documents(8)
        for document in fresh[:5]:
            self.decide(self.alice, document, rank=1)  # tag 1 over 2
        for document in fresh[5:7]:
            self.decide(self.alice, document, rank=2)  # tag 2 over 1
        self.decide(self.alice, fresh[7], DecisionKind.CORRECT, own=(1,))  # tag 1 over 3
        one, other = self.rows("tag-duels")
        assert (one["tag"], one["against"]) == (self.names[1], self.names[2])
        assert (one["met"], one["won"], one["lost"]) == ("7", "5", "2")
        assert float(one["share"]) == pytest.approx(5 / 7)
        assert (other["tag"], other["against"]) == (self.names[1], self.names[3])
        assert (other["met"], other["won"]) == ("1", "1")

    def test_of_two_that_win_alike_each_pair_is_told_once(self) -> None:
        fresh = self.documents(2)
        self.decide(self.alice, fresh[0], rank=1)
        self.decide(self.alice, fresh[1], rank=2)
        read = decided(self.project)
        (duel,) = duels(self.project, choices(self.project, read))
        assert (duel.won, duel.lost) == (Share(1, 2), 1)
        assert [duel.winner, duel.loser] == sorted(self.names[1:3])

    def test_each_is_compared_with_themselves(self) -> None:
        for place, document in enumerate(self.documents(4)):
            first = self.decide(self.alice, document, rank=1)
            second = self.decide(
                self.alice, document, rank=1 if place else 2, purpose=Purpose.REPEAT
            )
            Repeat.objects.create(
                reviewer=self.alice, first=first, second=second, due_at=first.created_at
            )
        (alice,) = self.rows("consistency")
        assert (alice["reviewer"], alice["documents"], alice["equal"]) == ("alice", "4", "0.75")
        assert float(alice["equal_low"]) == pytest.approx(wilson(3, 4)[0])

    def test_the_curve_tells_whether_the_last_bins_differ(self) -> None:
        fresh = self.documents(120)
        for place, document in enumerate(fresh[:110]):
            early = place < 50
            self.decide(self.alice, document, rank=2 if early and place % 5 else 1)
        self.decide(self.alice, fresh[110], DecisionKind.CORRECT, own=(3, 1))
        self.decide(self.alice, fresh[111], DecisionKind.SKIP)
        first, second, last = self.rows("learning")
        assert (first["from"], first["to"], first["first"]) == ("1", "50", "0.2")
        assert (first["unchanged"], second["first"]) == ("1.0", "1.0")
        assert (last["from"], last["to"]) == ("101", "111")
        assert float(last["first"]) == pytest.approx(10 / 11)
        found = curve(decided(self.project))
        assert found.still_differs
        assert "went by +80 points" in self.html()

    def test_a_curve_that_is_flat_is_told_as_such(self) -> None:
        for place, document in enumerate(self.documents(100)):
            self.decide(self.alice, document, rank=1 + place % 2)
        assert not curve(decided(self.project)).still_differs
        assert "do not clearly differ: +0 points" in self.html()
        Standing.objects.order_by("-pk")[0].delete()
        assert "Too few decisions to compare: two bins of 50" in self.html()

    def test_pictures_are_svg_that_runs_nothing(self) -> None:
        tag = self.project.tags.order_by("number")[1]
        Tag.objects.filter(pk=tag.pk).update(name="$x_1$ & <b>")
        for place, document in enumerate(self.documents(60)):
            first = self.decide(self.alice, document, rank=1 + place % 3)
            second = self.decide(self.alice, document, rank=1, purpose=Purpose.REPEAT)
            Repeat.objects.create(
                reviewer=self.alice, first=first, second=second, due_at=first.created_at
            )
        html = self.html()
        # Of two models: see test_in_use.py; of known answers: test_gold.py.
        for name in set(NAMES) - {"win-rate", "gold"}:
            assert f'src="/insight/{name}.svg"' in html
            drawn = {}
            for look in ("", "?dark=1"):
                answer = self.client.get(f"/insight/{name}.svg{look}")
                assert answer["Content-Type"] == "image/svg+xml"
                policy = answer["Content-Security-Policy"]
                assert "script-src 'self'" in policy
                assert "default-src 'none'" in policy
                assert fromstring(answer.content).tag.endswith("svg")
                assert b"<script" not in answer.content
                drawn[look] = answer.content.decode()
            assert drawn[""] != drawn["?dark=1"]
            assert self.client.get(f"/insight/{name}.svg").content.decode() == drawn[""]
        duel = self.client.get("/insight/tag-duels.svg").content.decode()
        assert "$x_1$ &amp; &lt;b&gt;" in duel  # letters, no formula
        assert "unsafe" not in self.client.get("/insight")["Content-Security-Policy"]

    def test_a_file_starts_no_formula(self) -> None:
        User.objects.filter(pk=self.alice.pk).update(username="@alice")
        for document in self.documents(3):
            self.decide(self.alice, document, rank=1)
        assert [row["reviewer"] for row in self.rows("position")] == ["All", "'@alice"]

    def test_another_projects_decisions_are_not_read(self) -> None:
        for document in self.documents(3):
            self.decide(self.alice, document, rank=1)
        self.project.memberships.filter(user=self.carol).delete()
        other = type(self.project).objects.create(name="Others")
        self.project, mine = other, self.project
        owner = self.member("olga", Role.OWNER)
        self.project = mine
        client = Client()
        client.force_login(owner)
        assert [self.rows(name, client) for name in NAMES] == [[]] * len(NAMES)

    def test_it_asks_the_database_little(self) -> None:
        for document in self.documents(3):
            self.decide(self.alice, document, rank=1)
        self.html()
        with self.assertNumQueries(14):
            self.html()

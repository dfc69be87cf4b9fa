"""How far reviewers agree: alpha against values worked by hand, and the page for the curator."""

from __future__ import annotations

import random
import re
import uuid
from itertools import permutations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from review.insight.agreement import FEWEST, Judgement, TagSet, alpha, masi, report
from review.models import (
    Candidate,
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    Proposal,
    Role,
    Standing,
)

from .base import HouseTestCase
from .world import make_ready

A, B, C = 1, 2, 3


def sets(*given: set[int]) -> list[TagSet]:
    return [frozenset(one) for one in given]


def judged(documents: list[list[TagSet]]) -> list[Judgement]:
    """The sets of each document, as given by person 0, 1, …"""
    return [
        Judgement(person, document, tags)
        for document, given in enumerate(documents)
        for person, tags in enumerate(given)
    ]


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ({A, B}, {B, A}, 0),
        (set(), set(), 0),
        (set(), {A}, 1),
        ({A}, {B, C}, 1),
        ({A}, {A, B}, 1 - 1 / 2 * 2 / 3),
        ({A, B}, {A, B, C}, 1 - 2 / 3 * 2 / 3),
        ({A, B}, {B, C}, 1 - 1 / 3 * 1 / 3),
    ],
)
def test_masi_counts_a_part_in_common_in_part(
    one: set[int], other: set[int], distance: float
) -> None:
    assert masi(frozenset(one), frozenset(other)) == pytest.approx(distance)
    assert masi(frozenset(other), frozenset(one)) == pytest.approx(distance)


def test_alpha_is_that_of_an_example_worked_by_hand() -> None:
    """Observed: (0 + 2/3 + 1 + 0) / 4. Expected, over the 8 sets A A A AB B C C C: twice
    (A-AB 3·2/3, A-B 3, A-C 9, AB-B 2/3, AB-C 3, B-C 3) / (8·7) = 124/168. So 1 - 5/12 · 168/124.
    """
    documents = [sets({A}, {A}), sets({A}, {A, B}), sets({B}, {C}), sets({C}, {C})]
    assert alpha(judged(documents)) == pytest.approx(27 / 62)


def test_alpha_is_that_of_its_definition_with_three_people_and_gaps() -> None:
    draw = random.Random(7)
    every = sets(set(), {A}, {B}, {A, B}, {B, C}, {A, B, C})
    documents = [draw.choices(every, k=draw.choice([1, 2, 3])) for _ in range(60)]
    # Krippendorff's: pairs within a document, each weighted by 1 / (people - 1).
    several = [given for given in documents if len(given) > 1]
    values = [tags for given in several for tags in given]
    observed = sum(
        masi(one, other) / (len(given) - 1)
        for given in several
        for one, other in permutations(given, 2)
    ) / len(values)
    expected = sum(masi(one, other) for one, other in permutations(values, 2)) / (
        len(values) * (len(values) - 1)
    )
    assert alpha(judged(documents)) == pytest.approx(1 - observed / expected)


def test_alpha_is_1_for_perfect_agreement_and_about_0_for_chance() -> None:
    draw = random.Random(3)
    every = sets({A}, {B}, {C}, {A, B}, {A, C})
    same = [[tags, tags] for tags in draw.choices(every, k=300)]
    chance = [draw.choices(every, k=2) for _ in range(1000)]
    assert alpha(judged(same)) == pytest.approx(1)
    assert alpha(judged(chance)) == pytest.approx(0, abs=0.06)


def test_alpha_is_not_told_where_there_is_nothing_to_compare() -> None:
    assert alpha([]) is None
    assert alpha(judged([sets({A}), sets({B})])) is None  # no document has two
    assert alpha(judged([sets({A}, {A})] * 20)) is None  # always the same set


class ThePage(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.carol = self.member("carol", Role.CURATOR)
        self.project.reviews_needed = 2
        self.project.save()

    def reviewed(self, count: int, differ: int, people: tuple[User, User] | None = None) -> None:
        """Documents on which the two picked alike, but for `differ` of them."""
        people = people or (self.alice, self.bob)
        first = self.project.documents.count()
        make_ready(self.project, count)
        fresh = Document.objects.filter(external_id__in=map(str, range(first, first + count)))
        for place, document in enumerate(fresh.order_by("pk")):
            alike = 1 + place % 3
            for rank, person in ((alike, people[0]), (alike, people[1])):
                if place < differ and person == people[1]:
                    rank = 1 + alike % 3
                self.decide(person, document, rank)
            state = DocumentState.DISPUTED if place < differ else DocumentState.REVIEWED
            Document.objects.filter(pk=document.pk).update(state=state, reviews=2)

    def decide(self, person: User, document: Document, rank: int) -> None:
        proposal = Proposal.objects.get(document=document)
        decision = Decision.objects.create(
            document=document,
            reviewer=person,
            kind=DecisionKind.PICK,
            proposal=proposal,
            candidate=Candidate.objects.get(proposal=proposal, rank=rank),
            milliseconds=1,
            key=uuid.uuid4(),
        )
        Standing.objects.create(document=document, reviewer=person, decision=decision)

    def html(self) -> str:
        client = Client()
        client.force_login(self.carol)
        answer = client.get("/agreement")
        self.assertEqual(answer.status_code, 200)
        return answer.content.decode()

    def words(self) -> list[str]:
        return re.sub(r"<[^>]*>|\s+", " ", self.html()).split()

    def test_without_documents_it_says_so(self) -> None:
        html = self.html()
        self.assertIn("No document has been decided on by two people yet", html)
        self.assertNotIn("nan", html.lower().replace("nance", ""))

    def test_it_shows_the_project_and_each_pair(self) -> None:
        self.reviewed(40, differ=10)
        self.reviewed(12, differ=0, people=(self.alice, self.carol))
        words = self.words()
        place = words.index("bob")
        self.assertEqual(words[place : place + 2], ["bob", "40"])
        self.assertEqual(words[place + 3 : place + 5], ["75", "%"])
        place = words.index("carol", place)
        self.assertEqual(words[place : place + 6], ["carol", "12", "1.00", "100", "%", "100"])
        told = report(self.project)
        assert told.together.alpha is not None
        self.assertTrue(0 < told.together.alpha < 1)
        self.assertIn(f"{told.together.alpha:.2f}", words)

    def test_too_few_documents_have_a_dash_and_why(self) -> None:
        self.reviewed(FEWEST - 1, differ=2)
        html = self.html()
        self.assertIn("—", html)
        self.assertIn(f"not told below {FEWEST} documents", html)

    def test_so_has_a_pair_that_gave_one_set_on_every_document(self) -> None:
        make_ready(self.project, FEWEST)
        for document in Document.objects.all():
            self.decide(self.alice, document, 1)
            self.decide(self.bob, document, 1)
        Document.objects.update(state=DocumentState.REVIEWED, reviews=2)
        html = self.html()
        self.assertIn("everybody gave the same set", html)
        self.assertNotIn("NaN", html)

    def test_what_was_taken_back_does_not_count(self) -> None:
        self.reviewed(20, differ=10)
        Standing.objects.filter(reviewer=self.bob).delete()
        Document.objects.update(reviews=1)
        self.assertEqual(report(self.project).together.documents, 0)

    def test_it_reads_no_more_queries_with_more_documents(self) -> None:
        self.reviewed(10, differ=5)
        with self.assertNumQueries(5):
            report(self.project)
        self.reviewed(30, differ=5)
        with self.assertNumQueries(5):
            report(self.project)

"""The ranker of tags that asks no model; and that it stands in when none is there."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from django.test import override_settings
from django.utils import timezone
from pytest_django import Settings

from review.llm.rank import RIDGE, Example, Ranker, RankTag, ridge, shortlist, three_sets, zones
from review.models import Decision, Document, DocumentState, Proposal, Role, ServedModel
from review.models.proposal import WORDS_COUNTED
from review.models.served_model import FAILURES
from review.pipeline import curate, ranking, served
from review.pipeline.exam import side_of
from review.pipeline.first_start import seed_tags
from review.pipeline.pair import pairs
from review.pipeline.propose import TryLater, ask_again, propose
from review.pipeline.stand_in import NOTE, stand_in

from .base import HouseTestCase
from .fake_model import Reply, tags

TAGS = [
    RankTag("lib", "Imported by the developer's code", synonyms=("library",)),
    RankTag("database", "Database servers and drivers", synonyms=("sql", "postgresql")),
    RankTag("ecommerce", "Shops: carts, orders", synonyms=("shop", "e-commerce", "购物")),
    RankTag("game", "Finished games"),
    RankTag("zoo", "Animals"),
]
TEXTS = {
    "lib": "A small library to import. Call one function from your code.",
    "database": "It speaks SQL to tables and indexes.",
    "ecommerce": "Carts and orders for people who sell things.",
    "game": "Jump over gaps and collect coins, twelve levels.",
}
EXAMPLES = [
    Example("", f"{text} Number {number}.", [name])
    for number in range(6)
    for name, text in TEXTS.items()
]


def ranked(title: str, text: str, *more: Example, tags: list[RankTag] | None = None) -> list[str]:
    return shortlist(Ranker(tags or TAGS, [*EXAMPLES, *more]).scores(title, text), 9)


# --- What makes a tag likely ------------------------------------------------------------


def test_every_tag_has_a_probability_whatever_the_document() -> None:
    ranker = Ranker(TAGS, EXAMPLES)
    for title, text in (("", ""), ("Game", "\x00" * 9), ("# x", "```\n" * 500), ("店", "购物车")):
        scores = ranker.scores(title, text)
        assert list(scores) == [tag.name for tag in TAGS]
        assert all(0 <= score <= 1 for score in scores.values())


def test_a_name_in_the_title_says_more_than_one_far_below() -> None:
    below = "Words without a meaning. " * 40
    ranker = Ranker(TAGS, EXAMPLES)
    assert ranked("A database", below)[0] == "database"
    in_title = ranker.scores("A database", below)["database"]
    assert in_title > ranker.scores("A thing", f"{below}\n\nA database")["database"]


@pytest.mark.parametrize("said", ["e-commerce", "ecommerce", "E commerce", "Shops", "在线购物平台"])
def test_a_synonym_is_found_however_it_is_written(said: str) -> None:
    assert ranked("", f"Something for {said} and more.")[0] == "ecommerce"


def test_examples_teach_what_no_name_says() -> None:
    quokkas = [Example("", f"A quokka likes leaves, {n} of them.", ["zoo"]) for n in range(6)]
    about = "The quokka has no tail to speak of."
    assert ranked("", about, *quokkas)[0] == "zoo"
    assert Ranker(TAGS, EXAMPLES).scores("", about)["zoo"] < 0.2


def test_a_tag_that_no_example_has_is_found_by_its_own_words() -> None:
    new = RankTag("cartography", "Maps of land and sea", synonyms=("maps",))
    first, *others = ranked("Mapper", "Draws maps of your land.", tags=[*TAGS, new])
    assert first == "cartography"
    assert len(others) == len(TAGS)


def test_a_renamed_tag_goes_by_its_new_name() -> None:
    renamed = [RankTag("play", "Finished games", synonyms=("game",)), *TAGS[:3]]
    assert ranked("", "A game with coins.", tags=renamed)[0] == "play"


def test_examples_of_tags_that_are_gone_do_no_harm() -> None:
    gone = [Example("", "It speaks SQL.", ["retired"]), Example("", "", ["retired", "database"])]
    scores = Ranker(TAGS, [*EXAMPLES, *gone]).scores("", "It speaks SQL.")
    assert "retired" not in scores
    assert shortlist(scores, 1) == ["database"]


def test_the_heavier_example_prevails() -> None:
    text = "Wombats dig at night."
    for weight, first in ((5.0, "zoo"), (0.2, "game")):
        told = [Example("", text, ["zoo"], weight), Example("", text, ["game"], 1 / weight)]
        assert ranked("", text, *told)[0] == first


def test_it_works_without_examples_and_without_tags() -> None:
    assert shortlist(Ranker(TAGS, []).scores("Postgres", "Some SQL."), 1) == ["database"]
    assert Ranker([], EXAMPLES).scores("Postgres", "Some SQL.") == {}
    assert list(Ranker(TAGS[:1], EXAMPLES).scores("", "A library")) == ["lib"]


def test_badges_and_code_are_not_read() -> None:
    read = zones(
        "", "# A thing\n\n[![game](https://x.example/game)](#)\n\n```\ngame\n```\n\nHello."
    )
    assert read.title == ["a", "thing"]
    assert read.opening == ["hello"]


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_the_regression_is_the_textbooks(shape: tuple[int, int]) -> None:
    chance = np.random.default_rng(1)
    vectors, aims = chance.random(shape, np.float32), chance.random((shape[0], 3), np.float32)
    weights = chance.random(shape[0], np.float32) + 0.5
    found = ridge(scipy.sparse.csr_matrix(vectors), aims, weights)
    weighted = vectors.T * weights
    expected = np.linalg.solve(weighted @ vectors + RIDGE * np.eye(shape[1]), weighted @ aims)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_on_the_shipped_examples_most_best_tags_are_among_the_likeliest() -> None:
    tags = [
        RankTag(tag["name"], tag["description"], tag["not_for"], tag["synonyms"])
        for tag in seed_tags()
    ]
    shipped = ranking.shipped()
    ranker = Ranker(tags, [it for at, it in enumerate(shipped) if at % 6])
    recalls = []
    for it in shipped[::6]:
        first = shortlist(ranker.scores(it.title, it.text), 12)
        recalls.append(len(set(first) & set(it.best)) / len(it.best))
    assert sum(recalls) / len(recalls) > 0.8  # 0.84 when it was made


# --- From probabilities to sets ---------------------------------------------------------


def test_the_sets_differ_and_have_one_to_three_tags() -> None:
    scores = {f"tag {number}": 0.9 / (number + 1) for number in range(12)}
    for most in (1, 2, 3):
        sets = three_sets(scores, most)
        assert len({frozenset(one) for one in sets}) == 3
        assert all(1 <= len(one) <= most for one in sets)
        assert all(scores[a] >= scores[b] for one in sets for a, b in pairwise(one))


def test_what_is_sure_is_in_the_first_set_and_what_is_not_is_not() -> None:
    assert three_sets({"a": 0.95, "b": 0.9, "c": 0.02, "d": 0.01}, 3)[0] == ("a", "b")
    assert three_sets({"a": 0.9, "b": 0.1, "c": 0.02}, 3)[0] == ("a",)
    assert three_sets({"a": 0.001, "b": 0.0}, 3)[0] == ("a",)


def test_of_few_tags_there_are_fewer_sets() -> None:
    assert three_sets({}, 3) == []
    assert three_sets({"a": 0.5}, 3) == [("a",)]


# --- A project's own --------------------------------------------------------------------


class OwnPicks(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()
        ranking.forget()

    def offered(self) -> set[str]:
        """The tags that the latest request lets the model choose from."""
        held = json.dumps(self.model.requests[-1]["response_format"])
        return {tag["name"] for tag in seed_tags() if f'"{tag["name"]}"' in held}

    def test_a_reopened_document_is_not_ranked_by_its_own_tags(self) -> None:
        words = [" ".join(f"florp{n} quux{n} zib{n}" for n in range(at, at + 9)) for at in range(9)]
        text = next(
            one for one in words if side_of(hashlib.sha256(one.encode()).hexdigest()) == "train"
        )
        rare = seed_tags()[-1]["name"]
        self.model.default = Reply([tags(rare), tags("lib"), tags("cli")])
        document = self.ready("own", text)
        page = self.page()
        first = document.proposals.get().candidates.get(rank=1)
        self.client.post(f"/candidates/{first.pk}/choose", page.fields)
        recipe = {"prompt": "full-3", "plan": "samples", "shortlist": 3, "examples": 0}
        ServedModel.objects.update(recipe=recipe)
        served.forget()
        self.ready("like it", text + " And more.")
        self.assertIn(rare, self.offered())
        self.model.requests.clear()
        again = Document.objects.filter(pk=document.pk)
        curate.reopen(again, self.member("carol", Role.CURATOR))
        ask_again(again, ready=True)
        propose(document.pk)
        self.assertEqual(len(self.offered()), 3)
        self.assertNotIn(rare, self.offered())


# --- Standing in ------------------------------------------------------------------------


@override_settings(FALLBACK_AFTER=30)
class StandIn(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()
        ranking.forget()

    def down(self, minutes: float, half_open: bool = False) -> None:
        """The server fails; and as if that had been going on for so long."""
        if not ServedModel.objects.exclude(open_until=None).exists():
            for _ in range(FAILURES):
                self.model.say(Reply(status=503))
                with pytest.raises(TryLater):
                    propose(self.document("bad").pk)
                Document.objects.filter(external_id="bad").update(not_before=None)
            Document.objects.filter(external_id="bad").delete()
        now = timezone.now()
        row = ServedModel.objects.get(model="fake")
        row.openings, seconds = 0, 0.0
        row.open_until = now - timedelta(seconds=1) if half_open else now + timedelta(seconds=300)
        while seconds < minutes * 60 + 310:
            row.openings += 1
            seconds = (row.open_until - (row.down_since() or now)).total_seconds()
        row.save()
        served.forget()
        self.model.requests.clear()

    def well(self) -> None:
        ServedModel.objects.update(open_until=None, openings=0, failures=0)
        served.forget()

    def helped(self, external_id: str = "5201") -> Document:
        self.down(40)
        document = self.document(external_id)
        stand_in()
        document.refresh_from_db()
        return document

    def test_after_so_long_documents_get_tags_by_counting_words_and_say_so(self) -> None:
        document = self.helped()
        self.assertEqual((document.state, document.reason), (DocumentState.READY, ""))
        proposal = document.proposals.get(current=True)
        self.assertEqual((proposal.model, proposal.endpoint), (WORDS_COUNTED, ""))
        sets = [{str(tag) for tag in one.tags} for one in proposal.candidates.order_by("rank")]
        self.assertEqual(len(sets), 3)
        self.assertIn("lib", sets[0] | sets[1])
        self.assertEqual(self.model.requests, [])
        self.assertContains(self.client.get("/"), NOTE)

    def test_not_before(self) -> None:
        self.down(5)
        document = self.document()
        stand_in()
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.WAITING)

    def test_not_without_the_setting(self) -> None:
        self.down(600)
        document = self.document()
        with override_settings(FALLBACK_AFTER=0):
            stand_in()
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.WAITING)

    def test_when_the_server_is_back_the_model_is_asked(self) -> None:
        document = self.helped()
        self.well()
        stand_in()
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.WAITING)
        proposal = propose(document.pk)
        assert proposal is not None
        self.assertEqual((proposal.model, proposal.current), ("fake", True))
        self.assertEqual(document.proposals.filter(current=True).count(), 1)
        stand_in()
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.READY)

    def test_what_was_reviewed_meanwhile_stays_and_makes_no_pairs(self) -> None:
        document = self.helped()
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        self.assertEqual(Decision.objects.count(), 1)
        self.well()
        stand_in()
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.REVIEWED)
        self.assertEqual(list(pairs(self.project)), [])

    def test_what_a_reviewer_holds_is_not_taken_away(self) -> None:
        document = self.helped()
        self.page()
        self.well()
        stand_in()
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.READY)

    def test_half_open_one_document_finds_out_and_is_shown_again_if_it_fails(self) -> None:
        documents = [self.helped("1"), self.helped("2")]
        self.down(40, half_open=True)
        stand_in()
        trying = Document.objects.get(state=DocumentState.WAITING)
        self.assertIn(trying, documents)
        self.model.say(Reply(status=503))
        with pytest.raises(TryLater):
            propose(trying.pk)
        self.assertEqual(len(self.model.requests), 1)
        served.forget()
        stand_in()
        trying.refresh_from_db()
        self.assertEqual((trying.state, trying.reason), (DocumentState.READY, ""))
        self.assertEqual(trying.proposals.filter(model=WORDS_COUNTED).count(), 1)

    def test_a_models_candidates_are_not_replaced(self) -> None:
        document = self.ready()
        self.down(40)
        ask_again(Document.objects.filter(pk=document.pk), ready=True)
        stand_in()
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.WAITING)
        self.assertEqual(document.proposals.get(current=True).model, "fake")

    def test_without_any_model_a_document_waits_from_its_arrival(self) -> None:
        old, fresh = self.document("1"), self.document("2", "# Another\n\nA shop.")
        Document.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=1))
        with override_settings(OPENAI_BASE_URL="", OPENAI_API_KEY="", TAGGER_EMBEDDED_URL=""):
            stand_in()
        states = Document.objects.order_by("pk").values_list("state", flat=True)
        self.assertEqual(list(states), [DocumentState.READY, DocumentState.WAITING])
        self.assertEqual(Proposal.objects.get().document, old)
        self.assertEqual(fresh.proposals.count(), 0)


@pytest.mark.django_db
def test_a_breaker_knows_since_when_it_is_open(settings: Settings) -> None:
    now = timezone.now()
    row = ServedModel(base_url="x", model="y", openings=3, open_until=now)
    assert row.down_since() == now - timedelta(seconds=10 + 20 + 40)
    assert ServedModel(base_url="x", model="y").down_since() is None

"""Another model tried beside a project's own: asked, shown blind, counted, put in use and back."""

from __future__ import annotations

import csv
import datetime
import io
import itertools
import random
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from review.insight.interval import Share
from review.insight.win_rate import Outcome, outcomes
from review.llm.interleave import BOTH, OWN, RIVAL
from review.models import (
    Calibration,
    Candidate,
    Document,
    DocumentState,
    InUse,
    Project,
    Promotion,
    Proposal,
    Release,
    Repeat,
    Role,
    Scope,
    ServedModel,
    Training,
    TrainingState,
)
from review.pipeline import auto_accept, calibrate, repeat, served
from review.pipeline.filters import Filters
from review.pipeline.pair import pairs
from review.pipeline.propose import TryLater, ask_again, propose
from review.pipeline.select import Selection
from review.pipeline.token import make

from .base import HouseTestCase
from .fake_model import Reply, tags
from .test_auto_accept import calibrated

TUNED = "tuned-1"
OWN_SAYS = [tags("lib", "cli"), tags("lib", "http"), tags("framework")]
RIVAL_SAYS = [tags("sdk"), tags("http"), tags("lib", "sdk")]


@dataclass
class ByModel(Reply):
    """What each of two models says, at one address."""

    said: dict[str, Reply] = field(default_factory=dict)

    def payload(self, request: dict[str, Any]) -> bytes:
        said = self.said[request["model"]]
        self.status, self.reset = said.status, said.reset
        return said.payload(request)


def trained(project: Project, base_url: str, name: str = TUNED) -> Training:
    release, _ = Release.objects.get_or_create(project=project, number=1)
    return Training.objects.create(
        release=release,
        name=name,
        base="an-organisation/a-model",
        base_url=base_url,
        state=TrainingState.READY,
    )


class Trying(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _settings(self, settings: Settings) -> None:
        self.settings_now = settings

    def setUp(self) -> None:
        super().setUp()
        served.forget()
        self.olga = self.member("olga", Role.OWNER)
        self.owner = Client()
        self.owner.force_login(self.olga)
        self.tuned = trained(self.project, self.model.url)
        self.says(Reply(OWN_SAYS), Reply(RIVAL_SAYS))

    def says(self, own: Reply, rival: Reply) -> None:
        self.model.default = ByModel(said={"fake": own, TUNED: rival})

    def post(self, name: str, client: Client | None = None, **fields: Any) -> Any:
        with self.captureOnCommitCallbacks(execute=True):
            return (client or self.owner).post(f"/in-use/{name}", fields)

    def try_it(self) -> None:
        self.post("try", model=self.tuned.pk)

    def proposal(self, external_id: str = "5201") -> Proposal:
        return self.ready(external_id, f"# Number {external_id}").proposals.get(current=True)

    def givers(self, proposal: Proposal) -> list[tuple[str, str]]:
        return [(str(one), one.giver) for one in proposal.candidates.order_by("rank")]

    def html(self, client: Client | None = None, path: str = "/in-use") -> str:
        answer = (client or self.owner).get(path)
        self.assertEqual(answer.status_code, 200)
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode()))

    def pick(self, giver: str, client: Client | None = None, key: str = "") -> Document:
        """The next document's best set of this giver, by its button."""
        client = client or self.client
        page = self.page(client)
        shown = {url: Candidate.objects.get(pk=url.split("/")[2]) for url in page.urls}
        url, candidate = next(
            (url, one)
            for url, one in sorted(shown.items(), key=lambda item: item[1].rank)
            if one.giver == giver
        )
        fields = page.fields | ({"key": key} if key else {})
        self.assertEqual(client.post(url, fields).status_code, 302)
        return candidate.proposal.document


class BothAreAsked(Trying):
    def test_three_of_their_sets_are_drafted_and_all_that_it_took_is_told(self) -> None:
        self.try_it()
        proposal = self.proposal()
        self.assertEqual([request["model"] for request in self.model.requests], ["fake", TUNED])
        self.assertEqual((proposal.model, proposal.rival_model), ("fake", TUNED))
        found = self.givers(proposal)
        self.assertEqual(len(found), 3)
        self.assertEqual(sorted(found[:2]), [("lib, cli", OWN), ("sdk", RIVAL)])
        self.assertIn(found[2], [("lib, http", OWN), ("http", RIVAL)])
        self.assertEqual(
            (proposal.tokens_in, proposal.tokens_cached, proposal.tokens_out), (200, 120, 20)
        )
        self.assertEqual([call.get("model", "") for call in proposal.calls], ["", TUNED])
        self.assertEqual(proposal.calls[1]["replies"], RIVAL_SAYS)
        self.assertEqual((proposal.note, proposal.candidate_count), ("", 3))

    def test_the_same_document_is_drafted_the_same_again_and_others_otherwise(self) -> None:
        self.try_it()
        drafts = {str(number): self.givers(self.proposal(str(number))) for number in range(12)}
        self.assertGreater(len({tuple(draft) for draft in drafts.values()}), 1)
        for name in drafts:
            document = Document.objects.get(external_id=name)
            ask_again(Document.objects.filter(pk=document.pk), ready=True)
            again = propose(document.pk)
            assert again is not None
            self.assertEqual(self.givers(again), drafts[name])

    def test_what_both_said_is_both_s(self) -> None:
        self.says(Reply(OWN_SAYS), Reply([tags("cli", "lib"), tags("sdk"), tags("framework")]))
        self.try_it()
        found = self.givers(self.proposal())
        self.assertEqual(found[0], ("lib, cli", BOTH))
        self.assertEqual(sorted(found[1:]), [("lib, http", OWN), ("sdk", RIVAL)])

    def test_fewer_than_three_are_said_to_be_so_and_not_by_whom(self) -> None:
        self.says(Reply([tags("lib")] * 3), Reply([tags("sdk")] * 3))
        self.try_it()
        proposal = self.proposal()
        self.assertEqual(len(self.givers(proposal)), 2)
        self.assertEqual(proposal.note, "There are only two different sets.")

    def test_without_a_trial_one_model_is_asked_and_nothing_has_a_giver(self) -> None:
        proposal = self.proposal()
        self.assertEqual([request["model"] for request in self.model.requests], ["fake"])
        self.assertEqual(proposal.rival_model, "")
        self.assertEqual({giver for _set, giver in self.givers(proposal)}, {""})

    def test_what_the_settings_name_is_tried_beside_a_tuned_one(self) -> None:
        self.post("put", model=self.tuned.pk)
        self.post("try", model="base")
        proposal = self.proposal()
        self.assertEqual((proposal.model, proposal.rival_model), (TUNED, "fake"))


class TheTrialCostsNoDocument(Trying):
    def assert_alone(self, proposal: Proposal) -> None:
        found = self.givers(proposal)
        own = [("lib, cli", ""), ("lib, http", ""), ("framework", "")]
        self.assertEqual((found, proposal.rival_model), (own, ""))
        self.assertEqual(proposal.document.state, DocumentState.READY)

    def test_a_rival_that_answers_badly_is_left_out(self) -> None:
        self.try_it()
        bad = {
            "fault": Reply(status=500),
            "refused": Reply(status=400),
            "no tags": Reply(["I do not know."] * 3),
            "no JSON": Reply(body=b"<html>"),
            "cut": Reply(reset=True),
        }
        for name, reply in bad.items():
            with self.subTest(name):
                self.says(Reply(OWN_SAYS), reply)
                proposal = self.proposal(name)
                self.assert_alone(proposal)
                told = proposal.calls[-1]
                self.assertEqual(set(told), {"model", "problem"})
                self.assertEqual(told["model"], TUNED)

    def test_a_rival_that_is_in_trouble_is_left_alone_and_asked_again_later(self) -> None:
        self.try_it()
        self.says(Reply(OWN_SAYS), Reply(status=500))
        for number in range(6):
            self.assert_alone(self.proposal(str(number)))
        rival = ServedModel.objects.get(model=TUNED)
        self.assertIsNotNone(rival.open_until)
        later = timezone.now() + datetime.timedelta(hours=1)
        ServedModel.objects.filter(pk=rival.pk).update(open_until=later)
        served.forget()
        before = len(self.model.requests)
        self.assert_alone(self.proposal("in its pause"))
        self.assertEqual([one["model"] for one in self.model.requests[before:]], ["fake"])
        self.assertIn("Just now it cannot be asked", self.html())
        self.assertIsNone(ServedModel.objects.get(model="fake").open_until)

    def test_a_slow_rival_is_cut_off_by_the_documents_deadline(self) -> None:
        self.settings_now.MODEL_DEADLINE = 6
        self.try_it()
        self.model.say(Reply(OWN_SAYS), Reply(RIVAL_SAYS, silent=60))
        proposal = self.proposal()
        self.assert_alone(proposal)
        self.assertIn("did not finish within", proposal.calls[-1]["problem"])

    def test_where_the_own_model_took_most_of_the_time_the_rival_is_not_asked(self) -> None:
        self.settings_now.MODEL_DEADLINE = 10
        self.try_it()
        self.model.say(Reply(OWN_SAYS, silent=5.2))
        self.assert_alone(self.proposal())
        self.assertEqual(len(self.model.requests), 1)
        self.assertEqual(ServedModel.objects.filter(model=TUNED, failures__gt=0).count(), 0)

    def test_when_the_own_model_fails_so_does_the_document_as_ever(self) -> None:
        self.try_it()
        self.says(Reply(["?"] * 3), Reply(RIVAL_SAYS))
        document = self.document()
        for _ in range(3):
            Document.objects.update(not_before=None)
            try:
                propose(document.pk)
            except TryLater as error:
                self.assertIn("no usable answer", str(error))
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.FAILED)
        self.assertEqual({request["model"] for request in self.model.requests}, {"fake"})


class Nobody(Trying):
    """Blind: what reviewers see and read is the same, whoever gave what."""

    def seen(self, client: Client, program: dict[str, str]) -> list[str]:
        root = f"/api/v1/projects/{self.project.pk}"
        answers = [
            client.get("/"),
            client.get("/", headers={"hx-request": "true"}),
            client.get("/documents/5201"),
            client.get("/documents/5201.json"),
            client.get("/raw/5201"),
            client.get("/history"),
            client.get("/vocabulary.json"),
            Client().get(f"{root}/documents/5201", headers=program),
            Client().get(f"{root}/documents/5201/proposals", headers=program),
            Client().post(f"{root}/claims", headers=program),
        ]
        found = []
        for answer in answers:
            self.assertLess(answer.status_code, 300)
            text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", answer.content.decode())
            text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "TOKEN", text)
            text = re.sub(r"X-CSRFToken[^}]*}", "TOKEN", text)
            found.append(re.sub(r'"lease_expires_at": ?"[^"]*"', "TIME", text))
        return found

    def test_can_tell_whose_a_candidate_is(self) -> None:
        self.try_it()
        proposal = self.proposal()
        text = make(self.project, self.alice, "a program", [Scope.READ, Scope.REVIEW], 1)[1]
        program = {"Authorization": f"Bearer {text}"}
        before = self.seen(self.client, program)
        for html in before:
            self.assertNotIn(TUNED, html)
            self.assertNotRegex(html, r"(?i)\brival|giver|interleav")
        swapped = {OWN: RIVAL, RIVAL: OWN}
        for one in proposal.candidates.all():
            one.giver = swapped[one.giver]
            one.save()
        self.assertEqual(self.seen(self.client, program), before)

    def test_can_tell_by_the_place_on_the_page(self) -> None:
        """Over many documents each model's sets are at each place about as often."""
        self.try_it()
        places = {OWN: [0, 0, 0], RIVAL: [0, 0, 0]}
        for number in range(60):
            proposal = self.proposal(str(number))
            by_rank = {one.rank: one.giver for one in proposal.candidates.all()}
            # Drawn from ids that a test does not choose: as a reviewer of a fixed number sees it.
            draw = random.Random(number)
            for place, rank in enumerate(proposal.order_for(draw.randrange(10**6))):
                places[by_rank[rank]][place] += 1
        for counts in places.values():
            self.assertGreater(min(counts), 8, places)

    def test_of_the_reviewers_may_see_the_page(self) -> None:
        self.try_it()
        self.assertEqual(self.client.get("/in-use").status_code, 403)
        self.assertEqual(self.client.get("/insight/win-rate.csv").status_code, 403)


class WhatIsCounted(Trying):
    def setUp(self) -> None:
        super().setUp()
        self.try_it()

    def outcomes(self) -> list[tuple[str, bool]]:
        """The winners, and whether there was a pick."""
        return [(it.winner, it.place > 0) for it in outcomes(self.project)]

    def bobs(self) -> Client:
        client = Client()
        client.force_login(self.bob)
        return client

    def test_a_pick_is_the_winners_at_its_place_of_the_page(self) -> None:
        self.proposal()
        page = self.page()
        place = 2
        chosen = Candidate.objects.get(pk=page.urls[place - 1].split("/")[2])
        self.client.post(page.urls[place - 1], page.fields)
        winner = {OWN: "fake", RIVAL: TUNED}[chosen.giver]
        self.assertEqual(outcomes(self.project), [Outcome("fake", TUNED, "full-3", winner, place)])

    def test_both_s_is_no_news_and_none_fits_is_nobodys(self) -> None:
        self.says(Reply(OWN_SAYS), Reply([tags("cli", "lib"), tags("sdk"), tags("framework")]))
        self.proposal("1")
        self.proposal("2")
        self.pick(BOTH)
        page = self.page()
        proposal = Candidate.objects.get(pk=page.urls[0].split("/")[2]).proposal_id
        self.client.post(f"/proposals/{proposal}/none", page.fields)
        self.assertEqual(self.outcomes(), [("", True), ("", False)])

    def test_a_skip_says_nothing_and_a_set_of_their_own_nothing_of_either(self) -> None:
        self.proposal("1")
        self.proposal("2")
        page = self.page()
        proposal = Candidate.objects.get(pk=page.urls[0].split("/")[2]).proposal_id
        self.client.post(f"/proposals/{proposal}/skip", {**page.fields, "reason": "field"})
        page = self.page()
        proposal = Candidate.objects.get(pk=page.urls[0].split("/")[2]).proposal_id
        number = self.project.tags.get(name="ai").number
        self.client.post(f"/proposals/{proposal}/correct", {**page.fields, "tags": [number]})
        self.assertEqual(self.outcomes(), [("", False)])

    def test_what_was_taken_back_does_not_count(self) -> None:
        self.proposal()
        self.pick(RIVAL)
        self.assertEqual(self.outcomes(), [(TUNED, True)])
        page = self.page()
        self.client.post("/undo", {"lease": "none", "key": "2f0d0c4e-0000-4000-8000-000000000001"})
        self.assertEqual(self.outcomes(), [], page.html[:200])
        self.pick(OWN)
        self.assertEqual(self.outcomes(), [("fake", True)])

    def test_of_two_reviews_of_a_document_the_first_counts(self) -> None:
        Project.objects.update(reviews_needed=2)
        self.proposal()
        self.pick(RIVAL)
        self.pick(OWN, self.bobs())
        self.assertEqual(self.outcomes(), [(TUNED, True)])

    def test_a_document_that_comes_back_to_the_same_person_counts_once(self) -> None:
        Project.objects.update(repeat_share=0.5)
        self.proposal()
        keys = (str(uuid.UUID(int=number)) for number in itertools.count())
        key = next(key for key in keys if repeat._drawn(f"again:{key}") < 0.5)
        document = self.pick(RIVAL, key=key)
        Repeat.objects.update(due_at=timezone.now())
        self.pick(OWN)
        self.assertEqual(document.decisions.count(), 2)
        self.assertEqual(self.outcomes(), [(TUNED, True)])

    def test_documents_of_one_model_are_no_part_of_it(self) -> None:
        self.post("stop")
        self.proposal()
        self.pick("")
        self.assertEqual(self.outcomes(), [])


class ThePage(Trying):
    def play(self, *givers: str) -> None:
        first = Document.objects.count()
        for place, giver in enumerate(givers):
            self.proposal(str(first + place))
            self.pick(giver)

    def test_tells_the_win_rate_in_words_numbers_and_a_picture(self) -> None:
        self.try_it()
        self.assertIn(f"No pick has told {TUNED} and fake apart yet.", self.html())
        self.play(RIVAL, OWN, RIVAL, RIVAL)
        share = Share(3, 4)
        assert share.low is not None
        assert share.high is not None
        told = (
            f"Of 4 picks between {TUNED} and fake, 3 went to {TUNED} "
            f"(75 %, {100 * share.low:.0f}–{100 * share.high:.0f} %)."
        )
        self.assertIn(f"{told} Neither can be said to win yet.", self.html())
        self.assertIn(told, self.html(path="/insight"))
        answer = self.owner.get("/insight/win-rate.csv").content.decode()
        rows = list(csv.DictReader(io.StringIO(answer)))
        self.assertEqual(len(rows), 1)
        row = rows[0]
        self.assertEqual((row["model"], row["against"]), (TUNED, "fake"))
        self.assertEqual((row["prompt_version"], row["documents"]), ("full-3", "4"))
        self.assertEqual((row["won"], row["lost"], float(row["rate"])), ("3", "1", 0.75))
        self.assertEqual(float(row["rate_low"]), share.low)
        self.assertEqual(sum(int(row[f"{one}_of"]) for one in ("first", "second", "third")), 4)
        for dark in ("", "?dark=1"):
            picture = self.owner.get(f"/insight/win-rate.svg{dark}").content.decode()
            texts = ["".join(one.itertext()) for one in fromstring(picture).iter()]
            self.assertIn("All picks", " ".join(texts))

    def test_says_that_one_wins_when_that_may_be_said_and_not_before(self) -> None:
        self.try_it()
        self.play(*[RIVAL] * 7)
        html = self.html()
        self.assertIn("Neither can be said to win yet.", html)
        self.assertIn(f"It cannot be said yet that {TUNED} wins.", html)
        self.assertIn(f"Put {TUNED} in use all the same", html)
        self.play(RIVAL)
        html = self.html()
        self.assertIn(f"{TUNED} wins.", html)
        self.assertNotIn("all the same", html)

    def test_says_that_the_rival_loses(self) -> None:
        self.try_it()
        self.play(*[OWN] * 8)
        html = self.html()
        self.assertIn("fake wins.", html)
        self.assertIn(f"{TUNED} loses: people preferred fake.", html)

    def test_a_winner_is_put_in_use_by_one_press_and_the_other_back_by_another(self) -> None:
        self.try_it()
        self.play(*[RIVAL] * 8)
        self.post("put", model=self.tuned.pk)
        use = InUse.objects.get()
        self.assertEqual((use.tuned, use.rival, use.rival_is_base), (self.tuned, None, False))
        promotion = Promotion.objects.get()
        self.assertEqual(promotion.user, self.olga)
        why = promotion.why
        self.assertEqual((why["model"], why["won"], why["picks"]), (TUNED, 8, 8))
        self.assertTrue(why["wins"])
        self.assertEqual(self.proposal("after").model, TUNED)
        html = self.html()
        self.assertIn("Trained on release 1, from an-organisation/a-model.", html)
        self.assertIn("UTC, by olga.", html)
        self.assertIn("8: 100 % [68–100]", html)
        self.assertIn("Go back to fake", html)
        self.post("back", last=promotion.pk)
        self.assertIsNone(InUse.objects.get().tuned)
        self.assertEqual(self.proposal("back").model, "fake")
        self.assertIn("gone back", self.html())

    def test_back_pressed_twice_goes_back_once(self) -> None:
        self.post("put", model=self.tuned.pk)
        last = Promotion.objects.get().pk
        self.post("back", last=last)
        self.post("back", last=last)
        self.assertEqual(Promotion.objects.count(), 2)
        self.assertIsNone(InUse.objects.get().tuned)
        self.assertIn("another model was put in use meanwhile", self.html())

    def test_what_cannot_be_asked_changes_nothing_and_is_told(self) -> None:
        Training.objects.update(state=TrainingState.FAILED)
        for name in ("try", "put"):
            self.post(name, model=self.tuned.pk)
            self.assertIn("is not trained", self.html())
        self.assertEqual(InUse.objects.exclude(tuned=None, rival=None).count(), 0)

    def test_another_projects_model_is_not_there(self) -> None:
        other = Project.objects.create(name="Another")
        theirs = trained(other, self.model.url, "theirs")
        self.assertNotIn("theirs", self.html())
        for name in ("try", "put"):
            for model in (theirs.pk, "x", "", 10**30):
                self.assertEqual(self.post(name, model=model).status_code, 404)

    def test_the_trial_ends_by_a_press_and_its_picks_stay_counted(self) -> None:
        self.try_it()
        self.play(RIVAL)
        self.post("stop")
        self.assertEqual(self.proposal("alone").rival_model, "")
        html = self.html()
        self.assertIn("Try it beside", html)
        self.assertIn(f"Of 1 pick between {TUNED} and fake, 1 went to {TUNED}", html)

    def test_curators_see_it_and_have_no_buttons(self) -> None:
        self.try_it()
        carol = Client()
        carol.force_login(self.member("carol", Role.CURATOR))
        html = self.html(carol)
        self.assertIn(TUNED, html)
        for words in ("Stop the trial", "in use …", "Go back"):
            self.assertNotIn(words, html)
        for name in ("put", "back", "try", "stop"):
            self.assertEqual(self.post(name, carol, model=self.tuned.pk).status_code, 403)

    def test_a_name_like_a_tag_is_text(self) -> None:
        Training.objects.update(name="<b>bold</b>")
        self.assertIn("&lt;b&gt;bold&lt;/b&gt;", self.owner.get("/in-use").content.decode())


class TwoModelsTogether(Trying):
    def test_are_let_through_unseen_by_nobodys_confidence_and_teach_none(self) -> None:
        """Sets that one model would be sure of, with the switch on."""
        sure = [tags("lib", "cli")] * 2 + [tags("lib")]
        self.says(Reply(sure), Reply(sure))
        calibrated(self.project, "fake", "full-3")
        auto_accept.switch_on(self.project, 0.9, self.olga)
        Calibration.objects.update(told_to=None)
        alone = self.ready("alone")
        self.try_it()
        beside = self.ready("beside", "# Beside")
        confident = dict(
            Candidate.objects.filter(rank=1).values_list(
                "proposal__document__external_id", "confidence"
            )
        )
        self.assertIsNotNone(confident["alone"])
        self.assertIsNone(confident["beside"])
        Calibration.objects.update(told_to=0)  # as when the switch is turned on
        auto_accept.tell_waiting(10)
        self.assertIsNone(Candidate.objects.get(proposal__document=beside, rank=1).confidence)
        beside.refresh_from_db()
        self.assertEqual(beside.state, DocumentState.READY)
        for document in (alone, beside):
            if document.state == DocumentState.READY:
                page = self.page()
                self.client.post(page.urls[0], page.fields)
        learned = calibrate.reviews_by_model(self.project)
        taught = {review.proposal for reviews in learned.values() for review in reviews}
        self.assertNotIn(beside.proposals.get(current=True).pk, taught)

    def test_are_told_apart_in_a_release(self) -> None:
        self.try_it()
        self.proposal()
        self.pick(RIVAL)
        lessons = list(Selection(self.project, Filters(on_policy=True)).lessons())
        self.assertEqual(len(lessons), 1)
        lesson = lessons[0]
        self.assertEqual(lesson.messages, self.model.requests[1]["messages"])
        self.assertEqual(lesson.columns["chosen_by"], TUNED)
        by = [one.columns["rejected_by"] for one in lesson.rejected]
        self.assertIn("fake", by)
        self.assertEqual({one.columns["on_policy"] for one in lesson.rejected}, {True})

    def test_a_rival_that_was_sent_other_messages_is_off_policy(self) -> None:
        self.try_it()
        recipe = {"prompt": "full-2", "plan": "samples", "shortlist": 0, "examples": 0}
        ServedModel.objects.create(base_url=self.model.url, model=TUNED, recipe=recipe)
        proposal = self.proposal()
        own, rival = (request["messages"] for request in self.model.requests)
        self.assertNotEqual(own, rival)
        self.assertEqual(proposal.messages, own)
        self.pick(RIVAL)
        found = list(pairs(self.project))
        self.assertEqual({pair.chosen_said for pair in found}, {False})
        counted = Selection(self.project, Filters(on_policy=True))
        self.assertEqual(list(counted.lessons()), [])
        self.assertEqual(outcomes(self.project)[0].winner, TUNED)

    def test_are_a_line_of_their_own_in_insight(self) -> None:
        self.proposal("alone")
        self.pick("")
        self.try_it()
        self.proposal("beside")
        self.pick(OWN)
        answer = self.owner.get("/insight/models.csv").content.decode()
        rows = list(csv.DictReader(io.StringIO(answer)))
        self.assertEqual({row["model"] for row in rows}, {"fake", f"fake + {TUNED}"})
        answer = self.owner.get("/insight/learning.csv").content.decode()
        self.assertEqual([row["to"] for row in csv.DictReader(io.StringIO(answer))], ["1"])

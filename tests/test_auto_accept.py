"""Documents let through unseen: which, what becomes of them, and when that ends."""

from __future__ import annotations

import datetime
import io
import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from review.insight.agreement import report
from review.insight.audit import audit
from review.insight.confidence import KIND, Evidence, features, interval, point
from review.models import (
    Acceptance,
    AutoAccept,
    Calibration,
    Candidate,
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    OffReason,
    Project,
    Proposal,
    Purpose,
    Role,
    Scope,
    ServedModel,
    Standing,
    TagUse,
)
from review.models.decision import MACHINE
from review.pipeline import accept, auto_accept, calibrate, progress, served, sweep, tag_use
from review.pipeline.pair import pairs
from review.pipeline.propose import ask_again, propose
from review.pipeline.queue import claim_beside, claim_next
from review.pipeline.tags_out import final_tags
from review.pipeline.token import make

from .base import HouseTestCase
from .fake_model import Reply, tags
from .reviewers import Reviewers
from .tampering import tampering
from .test_confidence import make_reviewed, pick
from .test_evaluate import measured
from .world import make_ready

DOCUMENTS = 160
COUNT = len(features(Evidence([frozenset("a")], [])))

# Of all features only the first counts: 0.98 where all replies say the first set, else less.
NUMBERS = {
    "features": KIND,
    "means": [0.0] * COUNT,
    "scales": [1.0] * COUNT,
    "weights": [20.0] + [0.0] * (COUNT - 1),
    "intercept": -16.0,
    "platt": [-1.0, 0.0],
}


def calibrated(project: Project, model: str = "none", prompt_version: str = "") -> Calibration:
    """What 400 documents would have taught: 132 of them above 0.9, and 129 of these as picked."""
    curve = [point(0.9, 129, 132), point(0.5, 200, 260), point(0.1, 240, 400)]
    return Calibration.objects.create(
        project=project,
        model=model,
        prompt_version=prompt_version,
        method="platt",
        documents=400,
        picked=240,
        last_decision=0,
        numbers=NUMBERS,
        curve=[vars(one) for one in curve],
    )


class Accepting(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.olga = self.member("olga", Role.OWNER)
        self.owner = Client()
        self.owner.force_login(self.olga)

    def on(self, audit_share: float = 0.05, promise: float = 0.9) -> AutoAccept:
        auto = auto_accept.switch_on(self.project, promise, self.olga)
        AutoAccept.objects.update(audit_share=audit_share)
        auto.refresh_from_db()
        return auto

    def let_through(self, count: int, audit_share: float = 1e-9) -> list[Document]:
        """Documents that were waiting and are sure, after the sweeper's turn; audited or not."""
        calibrated(self.project)
        self.on(audit_share)
        make_ready(self.project, count)
        auto_accept.tell_waiting(10)
        return list(self.project.documents.order_by("pk"))

    def audited(self, right: int, wrong: int) -> None:
        """Reviews of documents that were kept for the audit."""
        kept = Acceptance.objects.filter(decision=None).select_related("proposal__document")
        for place, one in enumerate(kept.order_by("pk")[: right + wrong]):
            pick(self.alice, one.proposal, 1 if place < right else 2)
            Document.objects.filter(pk=one.document_id).update(
                state=DocumentState.REVIEWED, reviews=1
            )

    def html(self, path: str = "/auto-accept") -> str:
        answer = self.owner.get(path)
        self.assertEqual(answer.status_code, 200)
        return re.sub(r"\s+", " ", answer.content.decode())


class WhatIsLetThrough(Accepting):
    def test_is_reviewed_with_the_tags_of_the_first_candidate(self) -> None:
        document = self.let_through(1)[0]
        self.assertEqual((document.state, document.reviews), (DocumentState.REVIEWED, 0))
        first = Candidate.objects.get(proposal__document=document, rank=1)
        self.assertEqual(final_tags(document), first.tags)
        decision = Decision.objects.get()
        self.assertEqual((decision.reviewer.username, decision.candidate), (MACHINE, first))
        self.assertFalse(decision.reviewer.is_active)
        self.assertEqual(decision.standing.purpose, Purpose.MACHINE)

    def test_a_fresh_proposal_is_let_through_at_once(self) -> None:
        seen = self.ready("seen").proposals.get()
        calibrated(self.project, seen.model, seen.prompt_version)
        self.on(1e-9)
        self.model.say(*[Reply([tags("cli", "lib")] * 3)] * 3)
        sure = self.ready("sure")
        unsure = self.ready("unsure")
        self.assertEqual(sure.state, DocumentState.REVIEWED)
        self.assertEqual([tag.name for tag in final_tags(sure)], ["cli", "lib"])
        self.assertEqual(unsure.state, DocumentState.READY)

    def test_nothing_without_the_switch_or_below_the_threshold(self) -> None:
        calibrated(self.project)
        make_ready(self.project, 3)
        auto_accept.tell_waiting(10)
        self.assertEqual(self.project.documents.filter(state=DocumentState.READY).count(), 3)
        doubtful = [{"replies": [tags("cli"), tags("lib")]}]
        Proposal.objects.update(calls=doubtful)
        self.on(1e-9)
        auto_accept.tell_waiting(10)
        self.assertEqual(self.project.documents.filter(state=DocumentState.READY).count(), 3)
        self.assertFalse(Acceptance.objects.exists())

    def test_nothing_where_no_threshold_keeps_the_promise(self) -> None:
        calibrated(self.project)
        self.on(1e-9, promise=0.99)
        make_ready(self.project, 3)
        auto_accept.tell_waiting(10)
        self.assertEqual(self.project.documents.filter(state=DocumentState.READY).count(), 3)
        self.assertIn("nothing is let through", self.html())

    def test_what_people_have_to_do_with_is_left_to_them(self) -> None:
        make_ready(self.project, 5)
        held, skipped, pinned, retired, free = self.project.documents.order_by("pk")
        claim_next(self.project, self.alice)  # one of them
        Document.objects.filter(lease_holder=self.alice).update(
            lease_token=None, lease_holder=None, lease_expires_at=None
        )
        Document.objects.filter(pk=held.pk).update(
            lease_token=uuid.uuid4(),
            lease_holder=self.alice,
            lease_expires_at=timezone.now() + datetime.timedelta(minutes=1),
        )
        skip = Decision.objects.create(
            document=skipped,
            reviewer=self.alice,
            kind=DecisionKind.SKIP,
            skip_reason="field",
            milliseconds=1,
            key=uuid.uuid4(),
        )
        Standing.objects.create(document=skipped, reviewer=self.alice, decision=skip)
        Document.objects.filter(pk=pinned.pk).update(pinned=True)
        tag = self.project.tags.exclude(use__pk=0).last()
        assert tag
        tag.retired_at = timezone.now()
        tag.save()
        place = Candidate.objects.get(proposal__document=retired, rank=1).placed_tags.first()
        assert place
        place.tag = tag
        place.save()
        calibrated(self.project)
        self.on(1e-9)
        auto_accept.tell_waiting(10)
        done = self.project.documents.filter(state=DocumentState.REVIEWED)
        self.assertEqual(list(done), [free])

    def test_counts_for_nothing_that_people_do(self) -> None:
        self.let_through(20)
        self.assertEqual(list(pairs(self.project)), [])
        self.assertEqual(report(self.project).together.documents, 0)
        self.assertEqual(progress.of(self.project, self.olga).mine_today, 0)
        with tampering():
            Decision.objects.update(created_at=timezone.now() - datetime.timedelta(minutes=5))
        tag_use.count_uses()
        self.assertEqual(set(TagUse.objects.values_list("picked", flat=True)) - {0}, set())

    def test_makes_no_pairs_in_an_export(self) -> None:
        self.let_through(3)
        make_ready(self.project, 1)
        by_hand = Proposal.objects.order_by("pk").last()
        assert by_hand
        pick(self.alice, by_hand, 1)
        made = list(pairs(self.project))
        self.assertEqual({pair.decision.reviewer for pair in made}, {self.alice})
        self.assertEqual(len(made), 2)

    def test_stays_reviewed_whatever_the_sweeper_settles(self) -> None:
        document = self.let_through(1)[0]
        sweep.settle()
        self.project.reviews_needed = 2
        self.project.save()
        sweep.settle()
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.REVIEWED)

    def test_is_exported_as_nobodys_agreement(self) -> None:
        self.let_through(2)
        out = io.StringIO()
        call_command("export_tags", stdout=out)
        self.assertEqual(len(out.getvalue().splitlines()), 2)
        out = io.StringIO()
        call_command("export_tags", "--min-agreement", "0.5", stdout=out)
        self.assertEqual(out.getvalue(), "")

    def test_is_the_machines_in_the_api(self) -> None:
        self.let_through(1)
        _row, token = make(self.project, self.alice, "a program", [Scope.READ], 1)
        answer = Client().get(
            f"/api/v1/projects/{self.project.pk}/decisions",
            headers={"authorization": f"Bearer {token}"},
        )
        (item,) = answer.json()["items"]
        self.assertTrue(item["machine"])
        self.assertEqual(item["reviewer"], MACHINE)

    def test_is_named_on_the_documents_pages_and_can_be_looked_for(self) -> None:
        document = self.let_through(2)[0]
        make_ready(self.project, 1)
        self.assertEqual(self.html("/documents").count("accepted unseen, confidence 0.98"), 2)
        unseen = self.html("/documents?unseen=on")
        self.assertIn("2 documents match", unseen)
        self.assertIn(
            "accepted unseen, confidence 0.98", self.html(f"/documents/{document.external_id}")
        )
        tag = final_tags(document)[0]
        self.assertIn("2 documents match", self.html(f"/documents?tag={tag.number}"))

    def test_is_reopened_by_a_curator_and_not_let_through_again(self) -> None:
        document = self.let_through(2)[0]
        act = {"act": "reopen", "document": document.pk, "here": ""}
        self.owner.post("/curate", act)
        auto_accept.tell_waiting(10)
        self.on(1e-9)
        auto_accept.tell_waiting(10)
        document.refresh_from_db()
        self.assertEqual((document.state, final_tags(document)), (DocumentState.READY, []))
        undone = Decision.objects.get(kind=DecisionKind.UNDO)
        assert undone.undoes
        self.assertEqual((undone.reviewer, undone.undoes.document), (self.olga, document))
        self.assertIn("1 document matches", self.html("/documents?unseen=on"))
        # What people give it now is a review like any other.
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        document.refresh_from_db()
        self.assertEqual((document.state, document.reviews), (DocumentState.REVIEWED, 1))

    def test_is_let_through_again_when_the_model_reads_it_anew(self) -> None:
        document = self.let_through(1)[0]
        self.owner.post("/curate", {"act": "reopen", "document": document.pk, "here": ""})
        ask_again(self.project.documents.all(), ready=True)
        seen = self.ready("another").proposals.get()
        calibrated(self.project, seen.model, seen.prompt_version)
        self.model.say(*[Reply([tags("cli", "lib")] * 3)] * 3)
        propose(document.pk)
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.REVIEWED)


class TheAudit(Accepting):
    def test_takes_its_share_at_random(self) -> None:
        drawn = sum(accept.is_audited(Proposal(pk=pk), 0.05) for pk in range(10_000))
        self.assertAlmostEqual(drawn / 10_000, 0.05, delta=0.01)

    def test_leaves_its_documents_in_the_queue_like_any_other(self) -> None:
        self.let_through(30, audit_share=0.5)
        kept = Acceptance.objects.filter(decision=None)
        states = self.project.documents.filter(acceptances__in=kept).values_list("state")
        self.assertEqual(set(states), {(DocumentState.READY,)})
        through = Acceptance.objects.filter(decision__isnull=False)
        self.assertEqual(kept.count() + through.count(), 30)
        self.assertTrue(5 < kept.count() < 25)
        html = self.page().html.lower()
        self.assertNotIn("audit", html)
        self.assertNotIn("confidence", html)
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        decision = Decision.objects.get(reviewer=self.alice)
        self.assertEqual(decision.standing.purpose, Purpose.REVIEW)
        found = audit(AutoAccept.objects.get())
        self.assertEqual((found.audited, found.kept), (1, kept.count()))
        self.assertEqual(len(list(pairs(self.project))), 2)

    def test_does_not_wait_for_the_end_of_the_queue(self) -> None:
        self.let_through(1, audit_share=1)
        Document.objects.update(disagreement=0)
        make_ready(self.project, 100)
        order = []
        while document := claim_beside(self.project, self.alice, uuid.uuid4())[0]:
            order.append(document.external_id)
        self.assertEqual(len(order), 101)
        self.assertLess(order.index("0"), 99)  # one in five looks: it is last in 1 of 10^9 runs

    def test_says_what_share_was_picked_unchanged(self) -> None:
        self.let_through(40, audit_share=1)
        self.audited(right=38, wrong=2)
        auto_accept.check()
        auto = AutoAccept.objects.get()
        self.assertTrue(auto.on)
        found = audit(auto)
        self.assertEqual((found.audited, found.agreed), (40, 38))
        self.assertEqual((found.low, found.high), interval(38, 40))
        self.assertIn("Picked unchanged, of 40 audited", self.html())
        self.assertIn("95 % ± 8", self.html())

    def test_switches_off_when_the_promise_is_broken(self) -> None:
        self.let_through(60, audit_share=0.6)
        self.audited(right=14, wrong=8)
        auto_accept.check()
        auto = AutoAccept.objects.get()
        self.assertFalse(auto.on)
        self.assertEqual((auto.off_reason, auto.audited, auto.agreed), (OffReason.AUDIT, 22, 14))
        html = self.html()
        self.assertIn("It switched itself off", html)
        self.assertIn("of 22 audited documents 14 were picked unchanged", html)
        make_ready(self.project, 5)
        Calibration.objects.update(told_to=0)
        auto_accept.tell_waiting(10)
        self.assertEqual(
            self.project.documents.filter(state=DocumentState.READY).count() >= 5, True
        )
        self.assertEqual(Acceptance.objects.count(), 60)

    def test_two_wrong_of_few_do_not_switch_it_off(self) -> None:
        self.let_through(20, audit_share=1)
        self.audited(right=8, wrong=2)
        auto_accept.check()
        self.assertTrue(AutoAccept.objects.get().on)

    def test_begins_anew_when_it_is_switched_on_again(self) -> None:
        self.let_through(40, audit_share=1)
        self.audited(right=10, wrong=20)
        auto_accept.check()
        self.assertFalse(AutoAccept.objects.get().on)
        auto = self.on(1)
        auto_accept.check()
        self.assertTrue(AutoAccept.objects.get().on)
        self.assertEqual(audit(auto).audited, 0)

    def test_what_was_taken_back_says_nothing(self) -> None:
        self.let_through(1, audit_share=1)
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        self.assertEqual(audit(AutoAccept.objects.get()).audited, 1)
        self.client.post("/undo", {"key": str(uuid.uuid4()), "lease": str(uuid.uuid4())})
        self.assertEqual(audit(AutoAccept.objects.get()).audited, 0)


class ThePage(Accepting):
    def test_says_how_many_decisions_are_missing(self) -> None:
        make_ready(self.project, 5)
        for proposal in Proposal.objects.all():
            pick(self.alice, proposal, 1)
        self.assertIn("5 of the 100 documents", self.html())
        self.assertNotIn("Let them through", self.html())

    def test_has_the_consequences_in_numbers_before(self) -> None:
        calibrated(self.project)
        make_ready(self.project, 1)
        html = self.html()
        self.assertIn("132 let through, 129 of them as picked", html)
        self.assertIn("latest 400 documents", html)
        self.assertRegex(html, r'value="0.99" required disabled')
        self.assertIn("<polyline", html)
        self.assertNotIn("style=", html)

    def test_switches_on_and_off(self) -> None:
        calibrated(self.project)
        make_ready(self.project, 3)
        self.owner.post("/auto-accept/on", {"promise": "0.9"})
        auto = AutoAccept.objects.get()
        self.assertEqual((auto.on, auto.promise, auto.on_by), (True, 0.9, self.olga))
        self.assertIn("It is on", self.html())
        self.owner.post("/auto-accept/off")
        auto.refresh_from_db()
        self.assertEqual((auto.on, auto.off_reason), (False, OffReason.HAND))
        self.assertIn("Switched off by hand", self.html())

    def test_refuses_a_promise_that_is_none(self) -> None:
        for promise in ("", "2", "nan", "0.5"):
            answer = self.owner.post("/auto-accept/on", {"promise": promise}, follow=True)
            self.assertContains(answer, "Nothing was changed")
        self.assertFalse(AutoAccept.objects.exists())

    def test_sends_all_back_with_one_press(self) -> None:
        self.let_through(30, audit_share=0.2)
        through = Acceptance.objects.filter(decision__isnull=False).count()
        self.owner.post("/auto-accept/send-back")
        self.assertEqual(Standing.objects.filter(purpose=Purpose.MACHINE).count(), through)  # on
        self.owner.post("/auto-accept/off")
        self.assertIn(f"Send the {through} that were let through back", self.html())
        self.owner.post("/auto-accept/send-back")
        self.assertEqual(self.project.documents.filter(state=DocumentState.READY).count(), 30)
        self.assertFalse(Standing.objects.exists())
        self.assertIsNone(AutoAccept.objects.get().send_back_by)
        self.on(1e-9)
        auto_accept.tell_waiting(10)
        self.assertEqual(self.project.documents.filter(state=DocumentState.READY).count(), 30)


class Races(Accepting):
    def test_a_page_whose_lease_has_run_out_is_told_so(self) -> None:
        make_ready(self.project, 1)
        page = self.page()
        calibrated(self.project)
        self.on(1e-9)
        auto_accept.tell_waiting(10)
        self.assertFalse(Standing.objects.exists())  # it is held
        Document.objects.update(lease_expires_at=timezone.now())
        Calibration.objects.update(told_to=0)
        auto_accept.tell_waiting(10)
        answer = self.client.post(page.urls[0], page.fields)
        self.assertContains(answer, "finished by someone else meanwhile", status_code=409)
        self.assertEqual([one.purpose for one in Standing.objects.all()], [Purpose.MACHINE])

    def test_a_proposal_that_was_replaced_lets_nothing_through(self) -> None:
        calibrated(self.project)
        self.on(1e-9)
        make_ready(self.project, 1)
        old = Proposal.objects.select_related("document__project").get()
        Proposal.objects.update(current=False)
        self.assertIsNone(accept.consider(old, 0.99))
        self.assertEqual(Document.objects.get().state, DocumentState.READY)
        self.assertFalse(Decision.objects.exists())
        self.assertFalse(Acceptance.objects.exists())

    def test_considered_twice_it_is_let_through_once(self) -> None:
        calibrated(self.project)
        self.on(1e-9)
        make_ready(self.project, 1)
        proposal = Proposal.objects.select_related("document__project").get()
        self.assertIsNotNone(accept.consider(proposal, 0.99))
        self.assertIsNone(accept.consider(proposal, 0.99))
        self.assertEqual(Decision.objects.count(), 1)


class AskedInAnotherWay(Accepting):
    """The model's run with another plan is adopted: what was learned is not of its answers."""

    def adopt(self, **fields: Any) -> None:
        recipe = {"prompt": "full-3", "plan": "greedy-and-samples", "shortlist": 0, "examples": 4}
        fields = {"endpoint": "https://a.example/v1", "model": "none", "recipe": recipe, **fields}
        run = measured(self.project, **fields)
        call_command("evaluate", "--adopt", str(run.pk), "--anyway", stdout=io.StringIO())

    def test_a_fresh_proposal_waits_for_people(self) -> None:
        seen = self.ready("seen").proposals.get()
        calibrated(self.project, seen.model, seen.prompt_version)
        self.on(1e-9)
        self.model.default = Reply([tags("cli", "lib")] * 3)
        self.assertEqual(self.ready("before").state, DocumentState.REVIEWED)
        self.adopt(endpoint=self.model.url, model=seen.model)
        served.forget()
        after = self.ready("after")
        self.assertEqual(after.state, DocumentState.READY)
        proposal = after.proposals.get()
        self.assertEqual(proposal.prompt_version, seen.prompt_version)
        self.assertIsNone(proposal.candidates.get(rank=1).confidence)
        page = self.html()
        self.assertIn("nothing is let through", page)
        self.assertIn("people have decided on 0 of the 100", page)

    def test_what_waits_is_not_let_through_when_the_switch_is_turned_on(self) -> None:
        calibrated(self.project)
        make_ready(self.project, 2)
        self.adopt()
        self.on(1e-9)
        auto_accept.tell_waiting(10)
        self.assertEqual(self.project.documents.filter(state=DocumentState.READY).count(), 2)
        self.assertIsNone(Calibration.objects.get().told_to)

    def test_it_is_learned_anew_from_what_was_asked_since_and_told_only_to_that(self) -> None:
        make_reviewed(self.project, self.alice, 80, 60)
        calibrate.fit_due()
        make_ready(self.project, 1)
        old = Candidate.objects.filter(rank=1).latest("pk")
        self.adopt()
        calibrate.fit_due()
        self.assertEqual(Calibration.objects.count(), 1)
        self.assertIsNone(calibrate.now_in_use(self.project))
        make_reviewed(self.project, self.alice, 60, 50)
        calibrate.fit_due()
        self.assertEqual(Calibration.objects.latest("pk").documents, 110)
        self.assertEqual(calibrate.now_in_use(self.project), Calibration.objects.latest("pk"))
        make_ready(self.project, 1)
        fresh = Candidate.objects.filter(rank=1).latest("pk")
        auto_accept.tell_waiting(10)
        self.assertIsNone(Candidate.objects.get(pk=old.pk).confidence)
        self.assertIsNotNone(Candidate.objects.get(pk=fresh.pk).confidence)
        ServedModel.objects.all().to_default()
        self.assertIsNone(calibrate.now_in_use(self.project))

    def test_the_same_recipe_once_more_changes_nothing(self) -> None:
        self.adopt()
        make_reviewed(self.project, self.alice, 80, 60)
        calibrate.fit_due()
        self.adopt(name="The same, measured again")
        self.assertEqual(calibrate.now_in_use(self.project), Calibration.objects.get())


@pytest.mark.django_db(transaction=True)
def test_among_reviewers_at_work_each_document_is_decided_once() -> None:
    project = Project.objects.create(name="READMEs", repeat_share=0)
    make_ready(project, DOCUMENTS)
    calibrated(project)
    reviewers = [User.objects.create(username=f"reviewer {n}") for n in range(2)]
    at_work = Reviewers(project, reviewers)
    auto_accept.switch_on(project, 0.9, reviewers[0])
    at_work.begin()
    auto_accept.tell_waiting(60)
    keys = {key for told in at_work.told() for key in told.keys}
    by_people = Decision.objects.by_people()
    assert keys == {str(key) for key in by_people.values_list("key", flat=True)}
    assert Standing.objects.count() == DOCUMENTS
    assert Standing.objects.values("document").distinct().count() == DOCUMENTS
    by_machine = Standing.objects.filter(purpose=Purpose.MACHINE)
    assert 0 < by_machine.count() < DOCUMENTS
    assert not Document.objects.exclude(state=DocumentState.REVIEWED).exists()
    for document, reviews in Document.objects.values_list("pk", "reviews"):
        assert reviews == (0 if by_machine.filter(document=document).exists() else 1)

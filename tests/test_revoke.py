"""Picks that poison: whose each pair is can be told, and a reviewer's can be revoked as a whole."""

from __future__ import annotations

from io import StringIO

from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.utils import IntegrityError
from django.test import Client

from review.models import (
    Calibration,
    Decision,
    DecisionKind,
    Document,
    DocumentState,
    Proposal,
    Revocation,
    Role,
    Standing,
)
from review.pipeline import calibrate, learn, revoke
from review.pipeline.pair import pairs
from review.pipeline.select import pseudonym
from review.pipeline.tags_out import final_tags
from review.pipeline.verify import Verified, verify

from .test_adjudication import Disputed
from .test_confidence import make_reviewed
from .test_release import Releasing

WHY = "An account that others had the password of"


class Revoking(Disputed):
    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        self.wait(60.0)
        self.olga = self.member("olga", Role.OWNER)
        self.owner = Client()
        self.owner.force_login(self.olga)

    def wait(self, seconds: float) -> None:
        """So long the owner waits for the act; what is left then is the sweeper's."""
        self.addCleanup(setattr, revoke, "AT_FIRST", revoke.AT_FIRST)
        revoke.AT_FIRST = seconds

    def act(self, verb: str, reason: str = WHY, reviewer: int | None = None) -> int:
        fields = {"reviewer": str(reviewer or self.alice.pk), "verb": verb, "reason": reason}
        return self.owner.post("/people/decisions/revoke", fields).status_code

    def counting(self) -> int:
        return Standing.objects.filter(reviewer=self.alice).count()


class Revoked(Revoking):
    def test_their_decisions_count_for_nothing_and_their_documents_are_open_again(self) -> None:
        self.ready("a")
        self.pick(self.alice, 1)
        self.ready("b")
        self.pick(self.bob, 2)
        self.assertEqual(len(list(pairs(self.project))), 4)
        self.assertEqual(self.act("revoke"), 302)
        self.assertEqual(self.state("a"), (DocumentState.READY, 0))
        self.assertEqual(self.state("b"), (DocumentState.REVIEWED, 1))
        self.assertEqual({one.decision.reviewer for one in pairs(self.project)}, {self.bob})
        self.assertEqual(final_tags(Document.objects.get(external_id="a")), [])
        self.assertEqual(Decision.objects.filter(reviewer=self.alice).count(), 1)
        self.assertEqual(list(verify(Verified())), [])
        self.assertContains(self.owner.get("/people/decisions"), WHY)

    def test_what_was_revoked_is_no_example_any_more(self) -> None:
        text = "A library that parses the logs of web servers quickly."
        learn.forget()
        make_reviewed(self.project, self.alice, 3, 0)
        Document.objects.update(text=text, title="Logs")
        asked = (self.project, "Logs", text + " And of proxies.", 3)
        before = learn.similar(*asked)
        self.act("revoke")
        self.assertEqual(learn.similar(*asked), [])
        self.act("restore")
        self.assertEqual(len(learn.similar(*asked)), len(before))

    def test_taken_back_it_is_as_it_was(self) -> None:
        self.ready("a")
        self.pick(self.alice, 1)
        before = list(Standing.objects.values_list("decision", "purpose"))
        self.act("revoke")
        self.assertEqual(self.act("restore"), 302)
        self.assertEqual(list(Standing.objects.values_list("decision", "purpose")), before)
        self.assertEqual(self.state("a"), (DocumentState.REVIEWED, 1))
        self.assertEqual(Revocation.objects.filter(waiting=False).count(), 2)
        self.act("revoke")
        self.assertEqual(self.counting(), 0)
        self.act("restore")
        self.undo(self.alice)
        self.assertEqual(self.state("a"), (DocumentState.READY, 0))
        self.assertEqual(list(verify(Verified())), [])

    def test_what_was_decided_anew_meanwhile_stays(self) -> None:
        self.ready("a")
        self.pick(self.alice, 1)
        self.act("revoke")
        self.pick(self.alice, 3)
        self.act("restore")
        self.assertEqual(self.state("a"), (DocumentState.REVIEWED, 1))
        self.assertEqual(Standing.objects.get().decision, Decision.objects.latest("pk"))
        self.assertEqual(self.act("restore"), 422)

    def test_of_several_reviews_the_others_stay_and_a_dispute_ends(self) -> None:
        self.needs(2)
        self.ready("a")
        self.pick(self.alice, 1)
        self.pick(self.bob, 2)
        self.assertEqual(self.state("a"), (DocumentState.DISPUTED, 2))
        self.act("revoke")
        self.assertEqual(self.state("a"), (DocumentState.READY, 1))
        self.act("restore")
        self.assertEqual(self.state("a"), (DocumentState.DISPUTED, 2))

    def test_what_a_curator_settled_is_revoked_with_it_and_comes_back(self) -> None:
        self.needs(2)
        self.settle(self.dispute("a"), "ai")
        settled = Decision.objects.get(kind=DecisionKind.SETTLE)
        self.act("revoke", reviewer=settled.reviewer_id)
        self.assertEqual(self.state("a"), (DocumentState.DISPUTED, 2))
        self.act("restore", reviewer=settled.reviewer_id)
        self.assertEqual(self.state("a"), (DocumentState.REVIEWED, 2))
        self.assertEqual([tag.name for tag in final_tags(settled.document)], ["ai"])

    def test_confidence_is_learned_again_without_them(self) -> None:
        make_reviewed(self.project, self.alice, 60, 40)
        calibrate.fit_due()
        self.assertEqual(Calibration.objects.count(), 1)
        self.act("revoke")
        self.assertFalse(Calibration.objects.exists())

    def test_only_with_a_reason_and_of_somebody_who_decided(self) -> None:
        self.ready("a")
        self.pick(self.alice, 1)
        for verb, reason, reviewer in (
            ("revoke", " ", self.alice.pk),
            ("revoke", "x" * 501, self.alice.pk),
            ("revoke", WHY, self.bob.pk),
            ("restore", WHY, self.alice.pk),
        ):
            with self.subTest(verb=verb, reason=reason):
                self.assertEqual(self.act(verb, reason, reviewer), 422)
        self.assertEqual(self.act("erase"), 400)
        self.assertEqual(self.counting(), 1)
        self.assertFalse(Revocation.objects.exists())

    def test_an_act_is_kept_as_it_is(self) -> None:
        self.ready("a")
        self.pick(self.alice, 1)
        self.act("revoke")
        for change in (
            lambda: Revocation.objects.update(reason="None"),
            lambda: Revocation.objects.update(verb="restore"),
            lambda: Revocation.objects.all().delete(),
        ):
            with self.assertRaisesMessage(IntegrityError, "are kept"), transaction.atomic():
                change()

    def test_what_takes_longer_is_gone_on_with_by_the_sweeper(self) -> None:
        make_reviewed(self.project, self.alice, 30, 0)
        self.wait(0.0)
        self.act("revoke")
        self.assertEqual(self.counting(), 29)
        self.assertContains(self.owner.get("/people/decisions"), "under way")
        revoke.go_on(0.0)
        self.assertEqual(self.counting(), 28)
        revoke.go_on(60.0)
        act = Revocation.objects.get()
        self.assertEqual((self.counting(), act.waiting, act.documents), (0, False, 30))

    def test_by_a_command(self) -> None:
        self.ready("a")
        self.pick(self.alice, 1)
        for restore in ([], ["--restore"]):
            out = StringIO()
            call_command("revoke_reviewer", "alice", "--reason", WHY, *restore, stdout=out)
            self.assertEqual(out.getvalue(), "1 documents were changed.\n")
        for wrong in (["nobody"], ["bob"], ["alice", "--project", "None such"]):
            with self.assertRaises(CommandError):
                call_command("revoke_reviewer", *wrong, "--reason", WHY)


class Traced(Releasing):
    def test_a_pair_tells_whose_it_is_of_which_prompt_and_model_and_in_which_order_shown(
        self,
    ) -> None:
        self.needs(1)
        self.ready("a")
        self.pick(self.alice, 2)
        self.ready("b")
        self.give(self.bob, "ai", "security")
        rows = self.rows(self.made())
        self.assertEqual(len(rows), 5)
        for row in rows:
            decision = Decision.objects.get(pk=row["decision_id"])
            proposal = decision.proposal
            assert proposal
            self.assertEqual(row["reviewer"], pseudonym(self.project, decision.reviewer_id))
            self.assertEqual(row["document_id"], decision.document.external_id)
            self.assertEqual(row["prompt"], proposal.messages)
            self.assertEqual(row["candidate_model"], proposal.model)
            self.assertEqual(row["prompt_version"], proposal.prompt_version)
            self.assertEqual(row["vocabulary_version"], proposal.vocabulary_version.sha256[:12])
            self.assertEqual(decision.shown, proposal.order_for(decision.reviewer_id))
            self.assertIn(row["rejected_rank"], decision.shown)
            self.assertEqual(row["pair_id"], f"{decision.pk}-{row['rejected_rank']}")
        self.assertEqual(Proposal.objects.count(), 2)

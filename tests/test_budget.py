"""What a project may spend: counted before each call, and never more."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import TransactionTestCase
from django.utils import timezone

from review.models import (
    Batch,
    BatchState,
    Budget,
    Document,
    DocumentState,
    Price,
    Project,
    Proposal,
    Role,
)
from review.pipeline import batch, budget, served
from review.pipeline.budget import Caps, cap
from review.pipeline.propose import TryLater, propose
from review.tasks import sweep_up

from .base import HouseTestCase
from .fake_model import FakeModel, Reply
from .test_batch import BatchTestCase

USED = 110  # tokens of a call, as the fake server says
HELD = 40_000  # more than a call is held to use at most, with these prompts


class OneAfterTheOther(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()

    def budget(self) -> Budget:
        return Budget.objects.get(project=self.project)

    def test_a_call_is_settled_by_what_it_used(self) -> None:
        Price.objects.create(model="fake", tokens_in=2.0, cached=0.5, tokens_out=8.0)
        cap(self.project, Caps(tokens_a_day=HELD))
        propose(self.document().pk)
        now = self.budget()
        self.assertEqual((now.day_tokens, now.all_tokens), (USED, USED))
        # 40 at 2, 60 from the cache at ½, 10 said at 8: millionths.
        self.assertEqual((now.day_money, now.all_money), (190, 190))

    def test_what_does_not_reach_asks_nobody_and_waits_until_midnight(self) -> None:
        cap(self.project, Caps(tokens_a_day=USED))
        document = self.document()
        with pytest.raises(TryLater, match="budget of today") as told:
            propose(document.pk)
        document.refresh_from_db()
        self.assertEqual(self.model.requests, [])
        self.assertEqual(document.state, DocumentState.WAITING)
        self.assertEqual(document.troubles, 0)
        assert document.not_before
        after = document.not_before.replace(hour=0, minute=0, second=0, microsecond=0)
        self.assertLess((document.not_before - after).total_seconds(), 60)
        self.assertLessEqual(told.value.seconds, 86_401)
        self.assertEqual(self.budget().all_tokens, 0)

    def test_an_owner_who_raises_the_cap_sets_the_waiting_free(self) -> None:
        cap(self.project, Caps(tokens_in_all=USED))
        document = self.document()
        with pytest.raises(TryLater, match="when an owner raises it"):
            propose(document.pk)
        cap(self.project, Caps(tokens_in_all=HELD))
        self.assertTrue(Document.objects.due(timezone.now()).exists())
        assert propose(document.pk)

    def test_what_calls_under_way_kept_from_a_document_is_there_when_they_ended(self) -> None:
        cap(self.project, Caps(tokens_a_day=HELD))
        under_way = HELD - USED
        Budget.objects.update(day=budget.today(), day_tokens=under_way, all_tokens=under_way)
        document = self.document()
        with pytest.raises(TryLater, match="budget of today"):
            propose(document.pk)
        Budget.objects.update(day_tokens=USED, all_tokens=USED)  # they are settled
        self.assertFalse(Document.objects.due(timezone.now()).exists())
        sweep_up()
        self.assertTrue(Document.objects.due(timezone.now()).exists())
        propose(document.pk)
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.READY)

    def test_nobody_is_tried_in_vain_where_the_cap_is_reached(self) -> None:
        cap(self.project, Caps(tokens_a_day=USED))
        Budget.objects.update(day=budget.today(), day_tokens=USED, all_tokens=USED)
        with pytest.raises(TryLater):
            propose(self.document().pk)
        self.assertEqual(budget.look_again(), 0)
        Budget.objects.update(day=budget.today() - timedelta(days=1))
        self.assertEqual(budget.look_again(), 1)

    def test_a_new_day_begins_at_nothing_and_the_whole_goes_on(self) -> None:
        cap(self.project, Caps(tokens_a_day=HELD, tokens_in_all=10 * HELD))
        propose(self.document("1").pk)
        yesterday = budget.today() - timedelta(days=1)
        Budget.objects.update(day=yesterday, day_tokens=HELD)
        propose(self.document("2").pk)
        now = self.budget()
        self.assertEqual((now.day_tokens, now.all_tokens), (USED, 2 * USED))

    def test_what_was_spent_before_the_cap_counts(self) -> None:
        Price.objects.create(model="fake", tokens_in=1.0, tokens_out=1.0)
        propose(self.document().pk)
        cap(self.project, Caps(money_in_all=1000))
        now = self.budget()
        self.assertEqual((now.all_tokens, now.all_money), (USED, USED))
        cap(self.project, Caps(money_in_all=2000))
        self.assertEqual(self.budget().all_tokens, USED)

    def test_a_server_that_did_not_begin_has_charged_nothing(self) -> None:
        cap(self.project, Caps(tokens_a_day=HELD))
        self.model.say(Reply(status=503))
        with pytest.raises(TryLater):
            propose(self.document().pk)
        self.assertEqual(self.budget().all_tokens, 0)

    def test_a_call_that_was_cut_off_stays_counted_with_its_most(self) -> None:
        cap(self.project, Caps(tokens_in_all=HELD))
        self.model.say(Reply(reset=True))
        document = self.document()
        with pytest.raises(TryLater):
            propose(document.pk)
        held = self.budget().all_tokens
        self.assertGreater(held, 3000)
        self.assertLess(held, HELD)

    def test_without_a_cap_nothing_is_counted(self) -> None:
        propose(self.document().pk)
        self.assertFalse(Budget.objects.exists())

    def test_a_cap_that_was_taken_away_holds_nothing_up(self) -> None:
        cap(self.project, Caps(tokens_in_all=1))
        cap(self.project, Caps())
        assert propose(self.document().pk)


class AllAtOnce(TransactionTestCase):
    """Fifty calls at the same moment, and money for some."""

    model: FakeModel

    @pytest.fixture(autouse=True)
    def _model(self, model: FakeModel, settings: Any) -> None:
        settings.MODEL_DEADLINE = 60
        self.model = model

    def test_the_cap_is_never_exceeded(self) -> None:
        served.forget()
        project = Project.objects.create(name="READMEs")
        project.tags.create(number=1, name="lib")
        for number, name in enumerate(("cli", "http", "framework"), start=2):
            project.tags.create(number=number, name=name)
        keys = [
            project.documents.create(external_id=str(number), text=f"# Text {number}").pk
            for number in range(50)
        ]
        self.model.default = Reply(silent=0.2)
        most = 20_000
        cap(project, Caps(tokens_a_day=most))
        seen: list[int] = []

        def run(key: int) -> None:
            try:
                propose(key)
            except TryLater:
                pass
            finally:
                seen.append(Budget.objects.get(project=project).all_tokens)
                connection.close()

        threads = [threading.Thread(target=run, args=(key,)) for key in keys]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(seen), len(keys))
        self.assertLessEqual(max(seen), most)
        spent = USED * len(self.model.requests)
        self.assertEqual(Budget.objects.get(project=project).all_tokens, spent)
        done = project.documents.filter(state=DocumentState.READY).count()
        self.assertEqual(done, len(self.model.requests))
        self.assertEqual(Proposal.objects.count(), done)
        left = project.documents.filter(reason__startswith=budget.SPENT)
        self.assertGreater(left.count(), 0)
        self.assertEqual(left.count(), len(keys) - done)
        self.assertGreater(done, 0)


class ItsPage(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()
        self.project.memberships.filter(user=self.alice).update(role=Role.OWNER)

    def post(self, where: str, **fields: object) -> Any:
        return self.client.post(f"/spending/{where}", fields, follow=True)

    def test_an_owner_caps_prices_and_sees_what_was_spent(self) -> None:
        said = self.post("price", model="fake", tokens_in="2", cached="0.5", tokens_out="8")
        self.assertContains(said, "The price of fake is kept")
        said = self.post("caps", tokens_a_day="40000", money_in_all="12.5")
        self.assertContains(said, "The caps are kept")
        propose(self.document().pk)
        page = self.client.get("/spending")
        self.assertContains(page, "110 / 40,000")
        self.assertContains(page, "0.00 / 12.50")
        self.assertContains(page, "<td>60</td>")
        kept = Budget.objects.get(project=self.project)
        self.assertEqual((kept.money_in_all, kept.all_money), (12_500_000, 190))
        self.assertContains(self.post("caps"), "There is no cap.")

    def test_a_slip_is_told_and_changes_nothing(self) -> None:
        for fields in ({"tokens_a_day": "-1"}, {"money_a_day": "many"}, {"tokens_in_all": "1e30"}):
            self.assertEqual(self.post("caps", **fields).status_code, 422)
        self.assertFalse(Budget.objects.exists())
        for wrong in ("-1", "NaN", "inf", ""):
            said = self.post("price", model="fake", tokens_in=wrong, tokens_out="1")
            self.assertEqual(said.status_code, 422, wrong)
        self.assertFalse(Price.objects.exists())

    def test_a_price_is_changed_and_not_doubled(self) -> None:
        for price in ("1", "2"):
            self.post("price", model=" fake ", tokens_in=price, tokens_out=price)
        self.assertEqual(Price.objects.get().tokens_in, 2.0)


class InABatch(BatchTestCase):
    def test_it_takes_as_many_documents_as_the_budget_reaches_for(self) -> None:
        documents = self.backlog(5)
        cap(self.project, Caps(tokens_in_all=10**9))
        first = self.work(batch.start(self.project, None, 1))
        self.assertEqual(self.counted(), first.tokens_held)
        self.provider.run()
        self.work(first)
        self.assertEqual(self.counted(), USED)
        cap(self.project, Caps(tokens_in_all=USED + first.tokens_held * 3 // 2))
        second = self.work(batch.start(self.project, None, 4))
        self.assertEqual((second.state, second.documents), (BatchState.SENT, 1))
        self.assertEqual(Batch.objects.count(), 2)
        self.provider.run()
        second = self.work(second)
        self.assertEqual(second.state, BatchState.DONE)
        self.assertEqual(self.counted(), 2 * USED)
        self.assertEqual(sum(one.proposals.exists() for one in documents), 2)

    def counted(self) -> int:
        return Budget.objects.get(project=self.project).all_tokens

    def test_where_it_reaches_for_none_it_says_so(self) -> None:
        self.backlog(2)
        cap(self.project, Caps(tokens_in_all=USED))
        begun = self.work(batch.start(self.project, None, 2))
        self.assertEqual(begun.state, BatchState.FAILED)
        self.assertIn("budget does not reach", begun.error)
        self.assertEqual(Batch.objects.count(), 1)
        self.assertEqual(Budget.objects.get(project=self.project).all_tokens, 0)

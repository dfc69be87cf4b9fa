"""A backlog through a provider's batch API, and everything that cuts it short."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from unittest import mock

import pytest
import redis
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client, override_settings
from django.utils import timezone
from pytest_django import Settings

from review.llm import batch_client
from review.models import Batch, BatchState, Document, DocumentState, Proposal, Role
from review.pipeline import batch, curate, served, sweep
from review.pipeline.intake import take_in
from review.pipeline.propose import propose, put_off
from review.readers import Incoming
from review.tasks import sweep_up

from .base import HouseTestCase
from .fake_batch import FakeProvider
from .fake_model import Reply, tags

NOTHING = Reply(["no JSON here"] * 3)


class Killed(BaseException):
    """The worker's end, in the midst of something."""


class BatchTestCase(HouseTestCase):
    provider: FakeProvider

    @pytest.fixture(autouse=True)
    def _provider(self, settings: Settings, _model: None) -> None:
        self.model.close()
        self.provider = self.model = FakeProvider()
        settings.OPENAI_BASE_URL = self.provider.url
        self.addCleanup(self.provider.close)

    def setUp(self) -> None:
        super().setUp()
        served.forget()

    def backlog(self, count: int) -> list[Document]:
        take_in(
            self.project,
            [Incoming(str(number), f"# Text {number}\n\nSome words.") for number in range(count)],
        )
        return list(self.project.documents.order_by("pk"))

    def begun(self, count: int = 4) -> Batch:
        """A batch of `count` documents, which is with the provider."""
        self.backlog(count)
        begun = batch.start(self.project, None, count)
        return self.work(begun)

    def work(self, one: Batch) -> Batch:
        """A worker's turn, as if its time had come."""
        self.wake(one)
        batch.work(one.pk)
        one.refresh_from_db()
        return one

    def wake(self, one: Batch) -> None:
        Batch.objects.filter(pk=one.pk).update(look_at=timezone.now())

    def killed(self, one: Batch, where: str, after: int = 0) -> None:
        """A worker's turn that ends with its death; its lease runs out."""
        real, calls = getattr(batch.Turn, where), []

        def dying(*args: object, **options: object) -> object:
            calls.append(1)
            if len(calls) > after:
                raise Killed
            return real(*args, **options)

        self.wake(one)
        with mock.patch.object(batch.Turn, where, dying), self.assertRaises(Killed):
            batch.work(one.pk)
        Batch.objects.filter(pk=one.pk).update(lease_expires_at=timezone.now())

    def states(self) -> list[str]:
        return list(self.project.documents.order_by("pk").values_list("state", flat=True))

    def counts(self, one: Batch) -> tuple[int, int, int, int, int]:
        return one.stored, one.again, one.failed, one.left, one.dropped

    def due(self) -> int:
        return len(sweep.due(100))


class Going(BatchTestCase):
    def test_a_backlog_goes_out_as_one_file_and_comes_back_as_candidates(self) -> None:
        one = self.begun(4)
        self.assertEqual(one.state, BatchState.SENT)
        lines = self.provider.lines(self.provider.batches[one.provider_id])
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[0]["url"], "/v1/chat/completions")
        self.assertEqual(lines[0]["body"]["n"], 3)
        self.provider.run()
        one = self.work(one)
        self.assertEqual(one.state, BatchState.DONE)
        self.assertEqual(self.counts(one), (4, 0, 0, 0, 0))
        self.assertEqual((one.tokens_in, one.tokens_cached, one.tokens_out), (400, 240, 40))
        self.assertEqual(self.states(), [DocumentState.READY] * 4)
        for document, line in zip(self.project.documents.order_by("pk"), lines, strict=True):
            proposal = document.proposals.get(current=True)
            sets = [str(found) for found in proposal.candidates.order_by("rank")]
            self.assertEqual(sets, ["lib, cli", "lib, http", "framework"])
            self.assertEqual(proposal.messages, line["body"]["messages"])
            self.assertEqual(proposal.calls[0]["seed"], line["body"]["seed"])
            self.assertEqual(proposal.calls[0]["batch"], one.provider_id)
        self.assertEqual(one.items.count(), 0)
        self.assertEqual(self.provider.files, {})  # nothing is left lying there

    def test_what_waits_for_a_batch_is_read_by_no_worker(self) -> None:
        one = self.begun(2)
        document = one.items.order_by("pk")[0].document
        self.assertEqual(self.due(), 0)
        asked = len(self.provider.requests)
        self.assertIsNone(propose(document.pk))
        put_off(document.pk, "The server is away.", 1)
        self.assertEqual(sweep.take_back(), 0)
        self.assertEqual(len(self.provider.requests), asked)
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.WAITING)
        self.assertIn(f"batch {one.pk}", document.reason)
        with self.assertRaises(batch.NoBatch):  # nor by another batch
            batch.start(self.project, None, 2)

    def test_a_hold_lasts_while_somebody_looks_after_the_batch_and_ends_by_itself(self) -> None:
        one = self.begun(1)
        nearly = timezone.now() + timedelta(hours=1)
        Batch.objects.update(held_until=nearly)
        self.project.documents.update(not_before=nearly)
        self.work(one)
        document = self.project.documents.get()
        assert document.not_before is not None
        self.assertGreater(document.not_before, timezone.now() + timedelta(hours=47))
        self.project.documents.update(not_before=timezone.now())
        self.assertEqual(self.due(), 1)
        self.assertIsNotNone(propose(document.pk))
        self.provider.run()
        self.assertEqual(self.counts(self.work(one)), (0, 0, 0, 0, 1))
        self.assertEqual(document.proposals.count(), 1)

    def test_without_n_a_document_is_three_requests(self) -> None:
        complaint = json.dumps({"error": {"message": "n is not supported"}}).encode()
        self.provider.say(*[Reply(status=400, body=complaint)] * 2)
        one = self.begun(2)
        lines = self.provider.lines(self.provider.batches[one.provider_id])
        self.assertEqual(len(lines), 6)
        self.assertEqual(len({line["body"]["seed"] for line in lines}), 6)
        self.assertNotIn("n", lines[0]["body"])
        # The last first: each document's replies are apart, and in their order again.
        sets = [tags("framework"), tags("lib", "http"), tags("lib", "cli")]
        self.provider.say(*[Reply([said]) for said in sets * 2])
        self.provider.run()
        one = self.work(one)
        self.assertEqual(one.stored, 2)
        for proposal in Proposal.objects.all():
            found = [str(candidate) for candidate in proposal.candidates.order_by("rank")]
            self.assertEqual(found, ["lib, cli", "lib, http", "framework"])
            self.assertEqual(proposal.tokens_in, 300)

    def test_the_model_is_stored_as_having_seen_what_it_was_sent(self) -> None:
        one = self.begun(1)
        before = self.provider.lines(self.provider.batches[one.provider_id])[0]["body"]["messages"]
        self.project.guidelines = "Quite another guideline."
        self.project.save()
        self.project.tags.filter(name="lib").update(name="library")
        self.provider.run()
        self.work(one)
        proposal = Proposal.objects.get()
        self.assertEqual(proposal.messages, before)
        self.assertEqual(str(proposal.candidates.get(rank=1)), "library, cli")

    def test_what_does_not_fit_in_one_file_goes_in_the_next(self) -> None:
        self.backlog(5)
        with mock.patch.object(batch_client, "MOST_REQUESTS", 2):
            one = self.work(batch.start(self.project, None, 4))
            self.assertEqual((one.documents, one.state), (2, BatchState.SENT))
            other = Batch.objects.exclude(pk=one.pk).get()
            self.assertEqual(other.wanted, 2)
            self.assertEqual(self.work(other).documents, 2)
        self.assertEqual(self.due(), 1)  # more was not asked for
        self.assertEqual(Batch.objects.count(), 2)
        with mock.patch.object(batch_client, "MOST_BYTES", one.bytes):
            self.backlog(9)
            self.work(batch.start(self.project, None, 9))
        file = self.provider.batches["batch_3"]["input_file_id"]
        self.assertLessEqual(len(self.provider.files[file]), one.bytes)

    def test_the_embedded_model_has_none(self) -> None:
        self.backlog(1)
        with (
            override_settings(
                OPENAI_BASE_URL="", OPENAI_API_KEY="", TAGGER_EMBEDDED_URL="http://127.0.0.1:1/v1"
            ),
            self.assertRaisesRegex(batch.NoBatch, "embedded model has no batch API"),
        ):
            batch.start(self.project, None, 1)

    def test_the_sweeper_tells_a_worker(self) -> None:
        self.backlog(1)
        batch.start(self.project, None, 1)
        broker = redis.Redis.from_url(django_settings.REDIS_URL)
        broker.delete("imports")
        sweep_up()
        self.assertEqual(broker.llen("imports"), 1)
        broker.delete("imports")


class CutShort(BatchTestCase):
    def test_killed_while_it_is_put_together_it_goes_on_where_it_was(self) -> None:
        self.backlog(5)
        one = batch.start(self.project, None, 5)
        with mock.patch.object(batch, "TOGETHER", 2):
            self.killed(one, "_take_up", after=1)
            self.assertEqual(self.due(), 3)
            one = self.work(one)
        self.assertEqual(one.documents, 5)
        self.assertEqual(len(self.provider.lines(self.provider.batches["batch_1"])), 5)

    def test_killed_between_the_file_and_the_batch_the_file_is_not_sent_twice(self) -> None:
        self.backlog(2)
        one = batch.start(self.project, None, 2)
        self.provider.wrong["POST /batches"] = [Reply(status=503)]
        one = self.work(one)
        self.assertEqual((one.state, one.provider_id), (BatchState.READY, ""))
        self.assertIn("503", one.error)
        one = self.work(one)
        self.assertEqual((one.state, one.error), (BatchState.SENT, ""))
        self.assertEqual(self.provider.count("POST /files"), 1)

    def test_a_batch_whose_beginning_was_not_heard_of_is_found_and_not_begun_twice(self) -> None:
        self.backlog(2)
        one = batch.start(self.project, None, 2)
        self.provider.wrong["POST /batches"] = [Reply(reset=True)]
        one = self.work(one)
        self.assertEqual((one.state, len(self.provider.batches)), (BatchState.READY, 1))
        one = self.work(one)
        self.assertEqual((one.state, one.provider_id), (BatchState.SENT, "batch_1"))
        self.assertEqual(len(self.provider.batches), 1)

    def test_the_same_when_the_worker_died_before_it_could_write_it_down(self) -> None:
        self.backlog(2)
        one = batch.start(self.project, None, 2)
        self.killed(one, "begun")
        one = self.work(one)
        self.assertEqual((one.provider_id, len(self.provider.batches)), ("batch_1", 1))

    def test_killed_while_the_answers_are_taken_in_each_is_stored_once(self) -> None:
        one = self.begun(5)
        self.provider.run()
        self.killed(one, "settle", after=2)
        self.assertEqual(Proposal.objects.count(), 2)
        self.killed(one, "add", after=1)  # stored, but not counted: as if it had not been
        self.assertEqual(Proposal.objects.count(), 3)
        one = self.work(one)
        self.assertEqual(self.counts(one), (5, 0, 0, 0, 0))
        self.assertEqual(Proposal.objects.count(), 5)

    def test_killed_before_it_was_closed_nothing_is_taken_in_twice(self) -> None:
        one = self.begun(3)
        self.provider.run()
        self.killed(one, "close")
        self.assertEqual(Proposal.objects.count(), 3)
        one = self.work(one)
        self.assertEqual((one.state, self.counts(one)), (BatchState.DONE, (3, 0, 0, 0, 0)))
        self.assertEqual(Proposal.objects.count(), 3)

    def test_two_workers_at_once_are_one(self) -> None:
        one = self.begun(1)
        Batch.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=1))
        looked = self.provider.count("GET /batches")
        self.work(one)
        self.assertEqual(self.provider.count("GET /batches"), looked)

    def test_a_worker_that_was_given_up_for_dead_writes_nothing(self) -> None:
        one = self.begun(2)
        self.provider.run()
        real = batch_client.download

        def slow(*args: object) -> object:
            Batch.objects.update(lease_token="0" * 32)  # another took over
            return real(*args)  # type: ignore[arg-type]

        with mock.patch.object(batch_client, "download", slow):
            one = self.work(one)
        self.assertEqual((one.state, Proposal.objects.count()), (BatchState.SENT, 0))

    def test_a_provider_in_trouble_is_asked_again_later_and_nothing_is_given_up(self) -> None:
        one = self.begun(2)
        self.provider.run()
        self.provider.wrong["GET /batches/*"] = [Reply(status=500)]
        one = self.work(one)
        self.assertEqual((one.state, one.troubles), (BatchState.SENT, 1))
        self.assertIn("in trouble (500)", one.error)
        self.assertGreater(one.look_at, timezone.now())
        self.provider.wrong["GET /files/*/content"] = [Reply(status=502)]
        one = self.work(one)
        self.assertEqual(one.state, BatchState.SENT)
        one = self.work(one)
        self.assertEqual((one.state, one.stored, one.error), (BatchState.DONE, 2, ""))


class Ending(BatchTestCase):
    def test_what_was_answered_before_it_expired_is_kept_and_the_rest_waits_again(self) -> None:
        one = self.begun(5)
        self.provider.run(answered=2, status="expired")
        one = self.work(one)
        self.assertEqual((one.state, self.counts(one)), (BatchState.EXPIRED, (2, 0, 0, 3, 0)))
        self.assertIn("not executed in time", one.error)
        self.assertEqual(self.due(), 3)
        document = self.project.documents.filter(state=DocumentState.WAITING)[0]
        self.assertIn(f"not answered in batch {one.pk}", document.reason)
        self.assertIsNotNone(propose(document.pk))

    def test_called_off_before_it_was_sent_everything_waits_again(self) -> None:
        self.backlog(3)
        one = batch.start(self.project, None, 3)
        self.provider.wrong["POST /files"] = [Reply(status=500)]
        one = self.work(one)
        self.assertEqual(self.due(), 0)
        self.assertTrue(batch.cancel(one))
        one = self.work(one)
        self.assertEqual((one.state, one.left), (BatchState.CANCELLED, 3))
        self.assertEqual(self.due(), 3)
        self.assertEqual(self.provider.batches, {})

    def test_called_off_at_the_provider_what_was_answered_is_kept(self) -> None:
        one = self.begun(3)
        self.assertTrue(batch.cancel(one))
        one = self.work(one)
        self.assertEqual((one.state, one.provider_state), (BatchState.SENT, "cancelling"))
        self.work(one)
        self.assertEqual(self.provider.count("POST /batches/batch_1/cancel"), 1)
        self.provider.run(answered=1, status="cancelled", code="batch_cancelled")
        one = self.work(one)
        self.assertEqual((one.state, self.counts(one)), (BatchState.CANCELLED, (1, 0, 0, 2, 0)))
        self.assertFalse(batch.cancel(one))

    def test_a_file_that_the_provider_refuses_frees_its_documents_and_says_why(self) -> None:
        self.provider.refuses = [{"code": "model_mismatch", "message": "Mixed.", "line": "3"}]
        one = self.begun(2)
        self.assertEqual((one.state, one.left), (BatchState.FAILED, 2))
        self.assertIn("Mixed. (line 3)", one.error)
        self.assertEqual(self.due(), 2)

    def test_a_provider_that_is_full_is_sent_it_again_later(self) -> None:
        full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}
        self.provider.refuses = [full]
        one = self.begun(2)
        self.assertEqual((one.state, one.error), (BatchState.READY, full["message"]))
        self.assertGreater(one.look_at, timezone.now() + timedelta(minutes=10))
        self.assertEqual(self.due(), 0)
        one = self.work(one)
        self.assertEqual((one.state, one.provider_id), (BatchState.SENT, "batch_2"))

    def test_a_server_without_a_batch_api_frees_the_documents(self) -> None:
        self.backlog(2)
        one = batch.start(self.project, None, 2)
        self.provider.wrong["POST /files"] = [Reply(status=404)]
        one = self.work(one)
        self.assertEqual((one.state, self.due()), (BatchState.FAILED, 2))
        self.assertIn("no batch API", one.error)

    def test_a_batch_that_the_provider_no_longer_has_frees_its_documents(self) -> None:
        one = self.begun(2)
        self.provider.batches.clear()
        one = self.work(one)
        self.assertEqual((one.state, self.due()), (BatchState.FAILED, 2))

    def test_when_the_settings_name_another_provider_it_waits_and_can_be_called_off(self) -> None:
        one = self.begun(2)
        with override_settings(OPENAI_BASE_URL="http://127.0.0.1:1/v1"):
            one = self.work(one)
            self.assertEqual(one.state, BatchState.SENT)
            self.assertIn("no longer name", one.error)
            batch.cancel(one)
            one = self.work(one)
        self.assertEqual((one.state, self.due()), (BatchState.CANCELLED, 2))


class Answers(BatchTestCase):
    def test_a_reply_that_cannot_be_read_is_asked_for_again_by_the_workers(self) -> None:
        one = self.begun(3)
        self.provider.say(NOTHING)  # to the last document
        self.provider.run()
        one = self.work(one)
        self.assertEqual(self.counts(one), (2, 1, 0, 0, 0))
        document = self.project.documents.order_by("pk")[2]
        self.assertEqual((document.state, document.troubles), (DocumentState.WAITING, 1))
        said = document.proposals.get(current=False)
        self.assertIn("no usable answer", said.error)
        self.assertEqual(said.calls[0]["replies"], NOTHING.contents)
        self.assertEqual(sweep.due(10), [document.pk])
        self.assertIsNotNone(propose(document.pk))
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.READY)

    def test_the_third_time_it_has_failed(self) -> None:
        self.backlog(1)
        self.project.documents.update(troubles=2)
        one = self.work(batch.start(self.project, None, 1))
        self.provider.say(NOTHING)
        self.provider.run()
        one = self.work(one)
        self.assertEqual(self.counts(one), (0, 0, 1, 0, 0))
        self.assertEqual(self.states(), [DocumentState.FAILED])

    def test_a_document_that_the_model_declines_has_failed(self) -> None:
        one = self.begun(1)
        self.provider.say(Reply(refusal="I would rather not."))
        self.provider.run()
        one = self.work(one)
        self.assertEqual(self.counts(one), (0, 0, 1, 0, 0))
        self.assertIn("I would rather not", self.project.documents.get().reason)

    def test_requests_that_failed_wait_again_and_the_batch_says_why(self) -> None:
        one = self.begun(2)
        body = json.dumps({"error": {"message": "The model is overloaded."}}).encode()
        self.provider.say(Reply(status=503, body=body))
        self.provider.run()
        one = self.work(one)
        self.assertEqual((one.state, self.counts(one)), (BatchState.DONE, (1, 0, 0, 1, 0)))
        self.assertIn("overloaded", one.error)
        self.assertEqual(self.due(), 1)

    def test_fewer_than_three_sets_are_kept_and_it_is_said(self) -> None:
        one = self.begun(1)
        self.provider.say(Reply([tags("cli"), tags("cli"), tags("lib")]))
        self.provider.run()
        self.assertEqual(self.work(one).stored, 1)
        proposal = Proposal.objects.get()
        self.assertEqual(proposal.candidate_count, 2)
        self.assertIn("two different sets", proposal.note)

    def test_lines_that_are_none_are_passed_over(self) -> None:
        one = self.begun(2)
        self.provider.run()
        name = self.provider.batches["batch_1"]["output_file_id"]
        good = self.provider.files[name].splitlines()
        odd = [b"", b"<html>", b"[1]", b'{"custom_id": 5}', b'{"custom_id": "x-y", "response": 1}']
        self.provider.files[name] = b"\n".join([*odd, good[0], b'{"custom_id"'])
        one = self.work(one)
        self.assertEqual((one.state, self.counts(one)), (BatchState.DONE, (1, 0, 0, 1, 0)))

    def test_a_document_with_a_new_text_is_read_again_and_the_old_answer_dropped(self) -> None:
        one = self.begun(2)
        take_in(self.project, [Incoming("0", "# Quite another text")])
        self.assertEqual(self.due(), 1)
        self.provider.run()
        one = self.work(one)
        self.assertEqual(self.counts(one), (1, 0, 0, 0, 1))
        first = self.project.documents.get(external_id="0")
        self.assertEqual((first.state, first.proposals.count()), (DocumentState.WAITING, 0))

    def test_a_document_retired_meanwhile_stays_so(self) -> None:
        one = self.begun(2)
        chosen = Document.objects.filter(external_id="0")
        self.assertEqual(curate.retire(chosen).changed, 1)
        self.provider.run()
        self.assertEqual(self.counts(self.work(one)), (1, 0, 0, 0, 1))
        self.assertEqual(self.states(), [DocumentState.RETIRED, DocumentState.READY])
        self.assertEqual(chosen.get().proposals.count(), 0)

    def test_retired_and_restored_it_is_read_by_the_workers(self) -> None:
        one = self.begun(1)
        curate.retire(Document.objects.all())
        curate.restore(Document.objects.all())
        self.assertIsNotNone(propose(self.project.documents.get().pk))
        self.provider.run()
        self.assertEqual(self.counts(self.work(one)), (0, 0, 0, 0, 1))
        self.assertEqual(Proposal.objects.count(), 1)


class ForPeople(BatchTestCase):
    owner: User

    def setUp(self) -> None:
        super().setUp()
        self.owner = self.member("olga", Role.OWNER)
        self.client.force_login(self.owner)

    def test_an_owner_begins_one_watches_it_and_calls_it_off(self) -> None:
        self.backlog(3)
        shown = self.client.get("/batches").content.decode()
        self.assertIn("3 documents wait", shown)
        answer = self.client.post("/batches/start", {"documents": "2"}, follow=True)
        self.assertContains(answer, "is being put together")
        one = Batch.objects.get()
        self.assertEqual((one.user, one.wanted), (self.owner, 2))
        self.work(one)
        self.assertContains(self.client.get("/batches"), "With the provider")
        self.assertContains(self.client.get("/batches"), 'hx-trigger="every 5s"')
        self.client.post(f"/batches/{one.pk}/cancel")
        self.work(one)
        self.provider.run(answered=0, status="cancelled")
        self.work(one)
        ended = self.client.get("/batches").content.decode()
        self.assertIn("Cancelled", ended)
        self.assertNotIn("every 5s", ended)
        self.assertIn("3 documents wait", ended)

    def test_a_number_that_is_none_begins_nothing(self) -> None:
        self.backlog(1)
        for said in ("", "0", "-1", "x", "9" * 30):
            answer = self.client.post("/batches/start", {"documents": said})
            self.assertEqual(answer.status_code, 422)
        self.assertEqual(Batch.objects.count(), 0)

    def test_another_projects_batch_is_not_there(self) -> None:
        one = self.begun(1)
        self.project.memberships.filter(user=self.owner).delete()
        self.assertEqual(self.client.post(f"/batches/{one.pk}/cancel").status_code, 403)
        self.assertEqual(Client().get("/batches").status_code, 302)
        one.refresh_from_db()
        self.assertFalse(one.cancel_asked)

    def test_the_estimate_goes_by_past_proposals_where_there_are_any(self) -> None:
        self.backlog(3)
        first = batch.estimate(self.project)
        self.assertEqual(first.waiting, 3)
        self.assertGreater(first.tokens_in, 500)  # the tags alone
        propose(self.project.documents.order_by("pk")[0].pk)
        self.assertEqual(batch.estimate(self.project), batch.Estimate(2, 100.0, 10.0))

    def test_from_the_command_line(self) -> None:
        self.backlog(3)

        def said(*args: str) -> str:
            out = io.StringIO()
            call_command("batch", *args, stdout=out)
            return out.getvalue()

        refused = self.assertRaisesMessage(CommandError, "Nothing was begun.")
        with mock.patch("builtins.input", return_value="n"), refused:
            said("start")
        told = said("start", "--limit=2", "--yes", "--cost-in=1.0", "--cost-out=4.0")
        self.assertIn("3 documents wait. 2 of them take about", told)
        self.assertIn("At these prices: about 0.", told)
        self.assertIn("With the provider", said("work"))
        self.provider.run()
        one = Batch.objects.get()
        self.wake(one)
        self.assertIn("2 with candidates", said("work"))
        with self.assertRaisesMessage(CommandError, "has ended"):
            said("cancel", str(one.pk))
        with self.assertRaisesMessage(CommandError, "There is no batch 999."):
            said("cancel", "999")
        self.assertIn("Done, 100 %", said("status"))

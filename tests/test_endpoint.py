"""What an endpoint honours, when it is left alone, who takes over, and how often it is asked."""

from __future__ import annotations

import asyncio
import io
import json
import os
from contextlib import suppress
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from review.llm import client
from review.llm.lane import Lane
from review.llm.manners import Manners
from review.models import Document, DocumentState, Role, ServedModel
from review.models.served_model import FAILURES
from review.pipeline import lanes, served
from review.pipeline.propose import TryLater, propose
from review.tasks import fill_queue

from .base import HouseTestCase
from .fake_model import FakeModel, Reply, tags


def complaint(text: str) -> Reply:
    return Reply(status=400, body=json.dumps({"error": {"message": text}}).encode())


def sqls(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in queries.captured_queries]


class EndpointTestCase(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        served.forget()

    def row(self) -> ServedModel:
        return ServedModel.objects.get(model="fake")

    def as_another_process(self) -> None:
        """What this process knows is gone; what is in the database stays."""
        served.forget()


class Honoured(EndpointTestCase):
    def test_what_was_refused_once_is_never_sent_again_also_not_by_another_process(self) -> None:
        self.model.say(
            complaint("Unrecognized request argument supplied: prompt_cache_key"),
            complaint("seed is not supported"),
            complaint("Use max_completion_tokens instead of max_tokens"),
        )
        self.ready("1")
        self.as_another_process()
        self.model.requests.clear()
        self.ready("2")
        (request,) = self.model.requests
        for name in ("prompt_cache_key", "seed", "max_tokens"):
            self.assertNotIn(name, request)
        self.assertIn("max_completion_tokens", request)

    def test_a_refusal_for_another_reason_gives_up_nothing(self) -> None:
        document = self.document()
        self.model.say(*(complaint("I do not like this document") for _ in range(9)))
        with pytest.raises(TryLater):
            propose(document.pk)
        self.assertEqual(client.manners_of(self.model.url, "fake"), Manners())

    def test_a_prompt_that_is_too_long_is_refused_once(self) -> None:
        self.model.say(
            complaint("maximum context length is 4096 tokens; reduce the prompt or max_tokens")
        )
        with pytest.raises(TryLater):
            propose(self.document().pk)
        self.assertEqual(len(self.model.requests), 1)

    def test_the_key_of_the_prompt_cache_is_that_of_the_vocabulary(self) -> None:
        self.ready("1", "# One")
        self.ready("2", "# Two")
        first, second = (request["prompt_cache_key"] for request in self.model.requests)
        self.assertEqual(first, second)
        self.project.guidelines = "Others."
        self.project.save()
        self.ready("3", "# Three")
        self.assertNotEqual(self.model.requests[-1]["prompt_cache_key"], first)

    def test_the_mean_log_probability_of_each_reply_is_kept(self) -> None:
        choices = [
            {
                "index": number,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": tags(name)},
                "logprobs": {"content": [{"token": "x", "logprob": -0.5 * (number + 1)}] * 3},
            }
            for number, name in enumerate(("lib", "cli", "http"))
        ]
        self.model.say(Reply(body=json.dumps({"choices": choices}).encode()))
        proposal = self.ready().proposals.get()
        self.assertEqual(proposal.calls[0]["mean_logprobs"], [-0.5, -1.0, -1.5])

    def test_a_server_that_gives_no_log_probabilities_is_not_asked_for_them_again(self) -> None:
        self.ready("1")
        self.ready("2")
        asked = ["logprobs" in request for request in self.model.requests]
        self.assertEqual(asked, [True, False])

    def test_a_reasoning_model_is_given_room_for_its_thinking_and_that_is_remembered(self) -> None:
        cut = Reply(
            body=json.dumps(
                {
                    "choices": [
                        {
                            "index": 0,
                            "finish_reason": "length",
                            "message": {"content": "", "reasoning_content": "Let me think…"},
                        }
                    ]
                }
            ).encode()
        )
        self.model.say(cut)  # and it knows no n
        self.assertEqual(self.ready("1").state, DocumentState.READY)
        plan = self.model.requests[0]["max_tokens"]
        self.assertEqual(self.model.requests[-1]["max_tokens"], 8 * plan)
        self.as_another_process()
        self.ready("2")
        self.assertEqual(self.model.requests[-1]["max_tokens"], 8 * plan)
        self.assertTrue(self.row().manners["thinks"])

    def test_what_two_processes_learned_comes_together(self) -> None:
        one = Manners(seed=False, response_format="json_object")
        other = Manners(several=False, response_format="", tokens=8000)
        one.take_over(other)
        self.assertEqual(one, Manners(seed=False, several=False, response_format="", tokens=8000))
        again = Manners.from_json({**one.as_json(), "from a later version": 1})
        self.assertEqual(again, one)

    def test_nothing_is_written_while_nothing_changes(self) -> None:
        self.ready("1")
        self.ready("2")  # which learned that there are no log-probabilities
        document = self.document("3")
        with CaptureQueriesContext(connection) as queries:
            propose(document.pk)
        about = [sql for sql in sqls(queries) if "review_servedmodel" in sql]
        self.assertEqual([sql for sql in about if not sql.startswith("SELECT")], [])
        self.assertLessEqual(len(about), 1)

    def test_probe_finds_out_anew_and_says_so(self) -> None:
        self.model.say(complaint("seed is not supported"))
        self.ready()
        self.assertFalse(self.row().manners["seed"])
        self.model.default = Reply([tags("cat"), tags("dog"), tags("bird")])
        out = io.StringIO()
        call_command("probe", stdout=out)
        self.assertIn("seed: True", out.getvalue())
        self.assertTrue(self.row().manners["seed"])


class Breaker(EndpointTestCase):
    def break_it(self) -> None:
        for number in range(FAILURES):
            self.model.say(Reply(status=503))
            with pytest.raises(TryLater):
                propose(self.document(f"bad {number}").pk)

    def reopen(self) -> None:
        ServedModel.objects.update(open_until=timezone.now() - timedelta(seconds=1))
        served.forget()

    def test_after_failures_in_a_row_documents_wait_with_the_reason_and_nobody_asks(self) -> None:
        self.break_it()
        asked = len(self.model.requests)
        document = self.document("waits")
        with pytest.raises(TryLater) as later:
            propose(document.pk)
        document.refresh_from_db()
        self.assertEqual(len(self.model.requests), asked)
        self.assertEqual(document.state, DocumentState.WAITING)
        self.assertEqual((document.troubles, document.attempts), (0, 0))
        self.assertIn("503", document.reason)
        self.assertGreater(document.not_before, timezone.now())  # type: ignore[arg-type]
        self.assertGreater(later.value.seconds, 1)
        self.assertEqual(served.worth_telling(500), 0)

    def test_failures_with_answers_between_them_open_nothing(self) -> None:
        for number in range(2 * FAILURES):
            self.model.say(*([Reply(status=503)] if number % 2 else []))
            with suppress(TryLater):
                propose(self.document(str(number)).pk)
        self.assertIsNone(self.row().open_until)

    def test_bad_answers_are_the_documents_trouble_not_the_servers(self) -> None:
        for number in range(FAILURES + 1):
            self.model.say(Reply(["no idea"] * 3), Reply(["no idea"] * 3))
            with pytest.raises(TryLater):
                propose(self.document(str(number)).pk)
        self.assertEqual(self.row().failures, 0)

    @override_settings(MODEL_DEADLINE=0.3)
    def test_a_server_that_never_finishes_is_left_alone_too(self) -> None:
        self.model.default = Reply(silent=1)
        for number in range(FAILURES):
            with pytest.raises(TryLater):
                propose(self.document(str(number)).pk)
        self.assertIsNotNone(self.row().open_until)

    def test_too_many_calls_open_nothing_while_fewer_are_possible(self) -> None:
        for number in range(FAILURES):
            client.lane_of(self.model.url, "fake").limit = 8
            self.model.say(Reply(status=429))
            with pytest.raises(TryLater):
                propose(self.document(str(number)).pk)
        self.assertEqual(self.row().failures, 0)

    def test_half_open_one_document_tries_and_its_success_closes(self) -> None:
        self.break_it()
        self.reopen()
        self.assertEqual(served.worth_telling(500), 1)
        first = served.take()
        self.assertEqual(first.model, "fake")
        with pytest.raises(served.Paused):
            served.take()  # the second
        served.went_well(first)
        row = self.row()
        self.assertEqual((row.failures, row.openings, row.open_until), (0, 0, None))
        self.assertEqual(served.worth_telling(500), 500)
        self.ready("well again")

    def test_a_failed_trial_doubles_the_time(self) -> None:
        self.break_it()
        first = self.row().pause(timezone.now())
        self.reopen()
        self.model.say(Reply(status=503))
        with pytest.raises(TryLater):
            propose(self.document("tries").pk)
        row = self.row()
        self.assertEqual(row.openings, 2)
        self.assertGreater(row.pause(timezone.now()), 1.5 * first)
        self.assertIsNone(row.probing_until)

    def test_a_trial_whose_worker_died_is_not_the_last(self) -> None:
        self.break_it()
        self.reopen()
        served.take()
        ServedModel.objects.update(probing_until=timezone.now() - timedelta(seconds=1))
        served.forget()
        self.assertEqual(served.take().model, "fake")

    def test_while_all_are_open_nobody_is_told_of_documents(self) -> None:
        self.break_it()
        broker = lanes.broker(django_settings.REDIS_URL, os.getpid())
        broker.flushall()
        Document.objects.update(not_before=None)
        fill_queue()
        self.assertEqual(broker.llen("celery"), 0)
        self.reopen()
        fill_queue()
        self.assertEqual(broker.llen("celery"), 1)
        broker.flushall()


class Second(EndpointTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.second = FakeModel()
        self.addCleanup(self.second.close)
        with_second = override_settings(
            SECOND_BASE_URL=self.second.url, SECOND_API_KEY="sk-2", SECOND_MODEL="spare"
        )
        with_second.enable()
        self.addCleanup(with_second.disable)

    def test_it_takes_over_while_the_first_is_left_alone_and_gives_back(self) -> None:
        self.ready("before")
        self.assertEqual(self.second.requests, [])
        self.model.say(*(Reply(status=500) for _ in range(FAILURES)))
        for number in range(FAILURES):
            with pytest.raises(TryLater):
                propose(self.document(str(number)).pk)
        proposal = self.ready("meanwhile").proposals.get()
        self.assertEqual((proposal.endpoint, proposal.model), (self.second.url, "spare"))
        self.assertEqual(self.second.requests[0]["model"], "spare")
        ServedModel.objects.update(open_until=timezone.now() - timedelta(seconds=1))
        served.forget()
        self.assertEqual(self.ready("after").proposals.get().model, "fake")
        self.assertEqual(self.ready("and on").proposals.get().model, "fake")

    def test_what_an_operator_should_look_at_are_its_own_settings(self) -> None:
        self.model.default = Reply(status=500)
        for number in range(FAILURES):
            with pytest.raises(TryLater):
                propose(self.document(str(number)).pk)
        waits = self.document("waits")
        refused = [
            (401, "TAGGER_SECOND_API_KEY"),
            (404, "TAGGER_SECOND_MODEL and TAGGER_SECOND_BASE_URL"),
        ]
        for status, settings in refused:
            self.second.say(Reply(status=status))
            with pytest.raises(TryLater, match=f"{self.second.url}.*Check {settings}"):
                propose(waits.pk)

    def test_with_both_in_trouble_documents_wait(self) -> None:
        self.second.default = self.model.default = Reply(status=500)
        for number in range(2 * FAILURES):
            with pytest.raises(TryLater):
                propose(self.document(str(number)).pk)
        asked = len(self.model.requests), len(self.second.requests)
        self.assertEqual(asked, (FAILURES, FAILURES))
        document = self.document("waits")
        with pytest.raises(TryLater):
            propose(document.pk)
        document.refresh_from_db()
        self.assertIn("500", document.reason)
        self.assertEqual((len(self.model.requests), len(self.second.requests)), asked)


class Page(EndpointTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.client.force_login(self.member("olga", Role.OWNER))

    def shown(self) -> str:
        return self.client.get("/models").content.decode()

    def test_it_tells_the_owner_how_the_model_is(self) -> None:
        self.assertIn("has not been asked yet", self.shown())
        self.ready()
        page = self.shown()
        for words in ("fake", self.model.url, "In use.", "a JSON schema", "max_tokens"):
            self.assertIn(words, page)
        self.assertIn("<dd>1</dd>", page)  # documents today
        self.assertNotIn("sk-test", page)
        self.model.say(*(Reply(status=500) for _ in range(FAILURES)))
        for number in range(FAILURES):
            with pytest.raises(TryLater):
                propose(self.document(str(number)).pk)
        page = self.shown()
        self.assertIn("Not asked just now.", page)
        self.assertIn("is in trouble (500)", page)

    @override_settings(OPENAI_BASE_URL="", OPENAI_API_KEY="", TAGGER_EMBEDDED_URL="")
    def test_without_a_model_it_says_what_to_set(self) -> None:
        self.assertIn("OPENAI_BASE_URL", self.shown())


# --- The lane: without a database ----------------------------------------------------------


async def through(lane: Lane, capacity: int, calls: int) -> int:
    """Send calls to a server that refuses what is too much; returns how many it refused."""
    busy = refused = most = 0

    async def one() -> None:
        nonlocal busy, refused, most
        assert await lane.enter(60)
        began = asyncio.get_running_loop().time()
        try:
            if busy >= capacity:
                refused += 1
                await asyncio.sleep(0.001)
                lane.went_badly(began)
                return
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.01)
            busy -= 1
        finally:
            lane.leave()
        lane.went_well(began)

    await asyncio.gather(*(one() for _ in range(calls)))
    return refused


def test_a_lane_finds_out_how_many_calls_a_server_bears() -> None:
    lane = Lane(ceiling=64)
    refused = asyncio.run(through(lane, capacity=20, calls=3000))
    assert 12 <= lane.limit <= 26, lane.limit
    assert refused < 300


def test_a_lane_never_has_more_calls_than_its_share_of_the_ceiling() -> None:
    lane = Lane(ceiling=10, limit=10.0, sharers=2)
    refused = asyncio.run(through(lane, capacity=5, calls=200))
    assert refused == 0
    assert lane.busy == 0


def test_a_lane_narrows_where_calls_take_ever_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of four hands, which lets all others wait inside. Simulated, with its clock."""
    now = 1000.0
    monkeypatch.setattr("review.llm.lane.time.monotonic", lambda: now)
    lane = Lane(ceiling=128)

    def serve(calls: int, seconds: float) -> None:
        nonlocal now
        for _ in range(calls):
            lane.busy = lane.room
            takes = seconds * max(1.0, lane.busy / 4)
            now += takes / lane.busy
            lane.went_well(now - takes)

    serve(3000, 0.1)
    assert 4 <= lane.room <= 12
    serve(3000, 0.4)  # longer documents: that is usual now
    assert 4 <= lane.room <= 12


def test_who_waits_too_long_for_a_turn_goes_and_the_others_get_theirs() -> None:
    async def scene() -> None:
        lane = Lane(ceiling=1)
        assert await lane.enter(1)
        assert not await lane.enter(0.01)
        cancelled = asyncio.create_task(lane.enter(10))
        waiting = asyncio.create_task(lane.enter(10))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        lane.leave()
        assert await waiting
        assert lane.busy == 1

    asyncio.run(scene())


def test_processes_share_a_limit_and_do_without_when_redis_is_away(
    redis_server: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    lanes.broker(redis_server, os.getpid()).flushall()
    one, other = Lane(), Lane()
    before = lanes.share(one, "x", None, 8.0)
    assert (one.limit, one.sharers) == (8.0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(lanes, "me", lambda: "another")
        theirs = lanes.share(other, "x", None, None)
        assert (other.limit, other.sharers) == (8.0, 2)
        other.limit += 4
        theirs = lanes.share(other, "x", theirs, None)
    one.limit -= 2
    before = lanes.share(one, "x", before, None)
    assert (one.limit, one.sharers) == (10.0, 2)  # 8 + 4 - 2: neither change is lost
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    one.limit += 1
    assert lanes.share(one, "x", before, None) == 11.0
    assert one.sharers == 2


def test_a_second_server_without_a_model_is_said_at_the_start(settings: Settings) -> None:
    from review.checks import second_model_is_named

    settings.SECOND_BASE_URL = "http://127.0.0.1:1/v1"
    ids = {found.id for found in second_model_is_named()}
    assert ids == {"tagger.E002", "tagger.E003"}

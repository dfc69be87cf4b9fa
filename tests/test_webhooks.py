"""Webhooks: what happens is told, signed, again for a day, and nothing of it is lost."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from review.models import Attempt, Delivery, Document, Event, Project, Role, Webhook
from review.pipeline import webhook as calls
from review.pipeline.intake import take_in
from review.readers import Incoming
from review.tasks import send_webhooks, sweep_up

from .base import HouseTestCase
from .fake_model import Reply


@dataclass
class Receiver:
    """A program that is told: what it heard, and what it answers next."""

    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # then 200
    words: str = "thanks"
    url: str = ""


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.ALLOW_PRIVATE_URLS = True
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.end_headers()
            self.wfile.write(found.words.encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/told"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


class WebhookTestCase(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _receiver(self, receiver: Receiver, settings: Settings) -> None:
        self.receiver = receiver
        self.settings_now = settings

    def setUp(self) -> None:
        super().setUp()
        self.olga = self.member("olga", Role.OWNER)
        self.client.force_login(self.olga)

    def add(self, *events: Event, url: str = "") -> Webhook:
        """By the page, as an owner does; keeps the secret that the page shows."""
        chosen = events or (Event.REVIEWED,)
        page = self.client.post(
            "/webhooks/add", {"url": url or self.receiver.url, "events": chosen}
        )
        self.assertEqual(page.status_code, 200)
        self.secret = page.content.decode().split('class="secret">')[1].split("<")[0]
        return Webhook.objects.latest("pk")

    def review(self, external_id: str = "5201") -> None:
        self.ready(external_id)
        self.client.force_login(self.alice)
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        self.client.force_login(self.olga)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in self.receiver.heard]

    def later(self, **time: float) -> None:
        """As if so much time had passed since everything that waits was put off."""
        for delivery in Delivery.objects.all():
            delivery.next_at -= datetime.timedelta(**time)
            delivery.save()


class Telling(WebhookTestCase):
    def test_a_reviewed_document_with_its_tags(self) -> None:
        self.add()
        self.review()
        send_webhooks()
        (event,) = self.told()
        self.assertEqual(event["type"], "document.reviewed")
        document = event["data"]["document"]
        found = self.client.get("/documents/5201.json").json()
        self.assertEqual((document["id"], document["tags"]), ("5201", found["tags"]))
        self.assertTrue(document["tags"])
        self.assertEqual(event["data"]["project"]["name"], "READMEs")

    def test_is_signed_as_standard_webhooks_says(self) -> None:
        webhook = self.add()
        self.review()
        send_webhooks()
        headers, body = self.receiver.heard[0]
        words = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        self.assertEqual(len(key), 32)
        expected = base64.b64encode(hmac.new(key, words, hashlib.sha256).digest()).decode()
        self.assertEqual(headers["webhook-signature"], f"v1,{expected}")
        self.assertAlmostEqual(int(headers["webhook-timestamp"]), timezone.now().timestamp(), -2)
        again = self.client.get(f"/webhooks/{webhook.pk}").content.decode()
        self.assertNotIn(self.secret, again + self.client.get("/webhooks").content.decode())

    def test_a_failed_document_wherever_it_fails(self) -> None:
        self.add(Event.FAILED)
        take_in(self.project, [Incoming("empty", " ")])
        self.model.default = Reply(refusal="I would rather not.")
        self.ready("refused")
        send_webhooks()
        failed = {e["data"]["document"]["id"]: e["data"]["document"] for e in self.told()}
        self.assertEqual(set(failed), {"empty", "refused"})
        self.assertTrue(all(document["reason"] for document in failed.values()))

    def test_a_changed_tag_list_once_for_all_its_changes(self) -> None:
        self.add(Event.VOCABULARY)
        send_webhooks()
        self.assertEqual(self.told(), [])
        self.project.tags.filter(number=25).update(name="safety")
        self.project.tags.filter(number=77).update(retired_at=timezone.now())
        send_webhooks()
        send_webhooks()
        (event,) = self.told()
        self.assertEqual(event["type"], "vocabulary.changed")
        self.assertEqual(event["data"]["vocabulary"]["tags"], 89)

    def test_only_of_what_was_asked_for_and_only_of_its_project(self) -> None:
        self.add(Event.FAILED)
        other = Project.objects.create(name="Another")
        calls.register(other, self.receiver.url, [Event.REVIEWED])
        self.review()
        send_webhooks()
        self.assertEqual(Delivery.objects.count(), 0)

    def test_is_of_one_piece_with_the_change(self) -> None:
        self.add()
        document = self.ready()
        with transaction.atomic():
            Document.objects.filter(pk=document.pk).update(state="reviewed")
            self.assertEqual(Delivery.objects.count(), 1)
            transaction.set_rollback(True)
        self.assertEqual(Delivery.objects.count(), 0)

    def test_what_was_taken_back_before_it_was_told_is_not(self) -> None:
        self.add()
        self.review()
        self.client.force_login(self.alice)
        self.client.post("/undo", {"key": str(uuid.uuid4())})
        send_webhooks()
        self.assertEqual(self.told(), [])
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        send_webhooks()
        self.assertEqual(len(self.told()), 1)

    def test_a_dispute_is_told_when_it_is_settled(self) -> None:
        self.add()
        self.project.reviews_needed = 2
        self.project.save()
        self.ready()
        for place, user in enumerate((self.alice, self.bob)):
            self.client.force_login(user)
            page = self.page()
            # The same place is another candidate for another person: choose by the candidate.
            url = sorted(page.urls)[place]
            self.client.post(url, page.fields)
        document = Document.objects.get()
        self.assertEqual(document.state, "disputed")
        send_webhooks()
        self.assertEqual(self.told(), [])
        self.client.force_login(self.olga)
        self.client.post(
            f"/disputes/{document.pk}/settle", {"tags": ["25"], "key": str(uuid.uuid4())}
        )
        send_webhooks()
        (event,) = self.told()
        self.assertEqual(event["data"]["document"]["tags"], [{"id": 25, "name": "security"}])

    def test_costs_a_pick_no_query(self) -> None:
        counts = []
        for number in ("1", "2", "3"):
            if number == "3":
                self.add()
            self.ready(number)
            self.client.force_login(self.alice)
            page = self.page()
            with CaptureQueriesContext(connection) as queries:
                self.client.post(page.urls[0], page.fields, headers={"HX-Request": "true"})
            counts.append(len(queries))
            self.client.force_login(self.olga)
        self.assertEqual(counts[1], counts[2])
        self.assertEqual(Delivery.objects.count(), 1)


class NotHeard(WebhookTestCase):
    def attempts(self) -> int:
        before = len(self.receiver.heard)
        send_webhooks()
        return len(self.receiver.heard) - before

    def test_it_is_sent_again_at_the_stated_times_for_a_day_and_then_given_up(self) -> None:
        webhook = self.add()
        self.review()
        self.receiver.answers = [500] * 20
        self.assertEqual(self.attempts(), 1)
        waited = datetime.timedelta()
        for wait in calls.WAITS:
            self.assertEqual(self.attempts(), 0)
            left = Delivery.objects.get().next_at - timezone.now()
            self.assertAlmostEqual(left.total_seconds(), wait.total_seconds(), delta=5)
            self.later(seconds=wait.total_seconds())
            self.assertEqual(self.attempts(), 1)
            waited += wait
        self.assertAlmostEqual(waited.total_seconds(), 24 * 3600, delta=3600)
        self.later(days=2)
        self.assertEqual(self.attempts(), 0)
        self.assertEqual(Delivery.objects.get().state, "failed")
        ids = {headers["webhook-id"] for headers, _body in self.receiver.heard}
        bodies = {body for _headers, body in self.receiver.heard}
        self.assertEqual((len(ids), len(bodies), len(self.receiver.heard)), (1, 1, 9))
        page = self.client.get(f"/webhooks/{webhook.pk}").content.decode()
        self.assertIn("9 attempts", page)
        self.assertIn("Given up", page)

    def test_the_page_says_what_was_answered_and_a_replay_is_heard(self) -> None:
        webhook = self.add()
        self.review()
        self.receiver.answers, self.receiver.words = [404], "<b>no such & thing</b>" + "x" * 600
        send_webhooks()
        url = f"/webhooks/{webhook.pk}"
        page = self.client.get(url).content.decode()
        self.assertIn("&lt;b&gt;no such &amp; thing", page)
        self.assertEqual(len(Attempt.objects.get().answer), 500)
        told = self.client.post(f"/deliveries/{Delivery.objects.get().pk}/replay", follow=True)
        self.assertContains(told, "It was heard: 200.")
        self.assertEqual(Delivery.objects.get().state, "delivered")
        first, second = self.receiver.heard
        self.assertEqual(first[0]["webhook-id"], second[0]["webhook-id"])
        self.assertEqual(first[1], second[1])

    def test_the_others_of_an_address_that_does_not_answer_wait_a_minute(self) -> None:
        self.add()
        for number in range(3):
            self.review(str(number))
        self.receiver.answers = [503]
        self.assertEqual(self.attempts(), 1)
        self.assertEqual(self.attempts(), 0)
        self.later(minutes=1)
        self.assertEqual(self.attempts(), 3)
        self.assertEqual(set(Delivery.objects.values_list("state", flat=True)), {"delivered"})

    def test_one_that_stays_silent_for_three_days_is_switched_off_and_can_be_switched_on(
        self,
    ) -> None:
        webhook = self.add()
        self.review("1")
        self.receiver.answers = [500, 500]
        send_webhooks()
        Webhook.objects.update(failing_since=timezone.now() - datetime.timedelta(days=3.1))
        self.later(seconds=10)
        send_webhooks()
        self.assertContains(self.client.get(f"/webhooks/{webhook.pk}"), "Switched off")
        self.review("2")
        self.assertEqual(Delivery.objects.filter(document__external_id="2").count(), 0)
        self.client.post(f"/webhooks/{webhook.pk}/switch", {"on": "1"})
        self.client.post(f"/webhooks/{webhook.pk}/replay")
        self.review("3")
        send_webhooks()
        ids = [event["data"]["document"]["id"] for event in self.told()[2:]]
        self.assertEqual(sorted(ids), ["1", "3"])

    def test_gone_is_gone(self) -> None:
        webhook = self.add()
        self.review()
        self.receiver.answers = [410]
        send_webhooks()
        webhook.refresh_from_db()
        self.assertEqual(webhook.off_reason, "gone")

    def test_an_address_of_the_house_is_refused_and_the_page_says_so(self) -> None:
        self.settings_now.ALLOW_PRIVATE_URLS = False
        webhook = self.add()
        self.review()
        send_webhooks()
        self.assertEqual(self.receiver.heard, [])
        attempt = Attempt.objects.get()
        self.assertEqual((attempt.status, attempt.answer), (None, ""))
        self.assertContains(self.client.get(f"/webhooks/{webhook.pk}"), attempt.problem)

    def test_a_worker_that_died_at_it_is_no_loss(self) -> None:
        self.add()
        self.review()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("review.pipeline.webhook._call", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                send_webhooks()
        self.assertEqual(self.attempts(), 0)
        self.later(minutes=1)
        self.assertEqual(self.attempts(), 1)


class ThePages(WebhookTestCase):
    def test_a_test_is_sent_at_once(self) -> None:
        webhook = self.add()
        told = self.client.post(f"/webhooks/{webhook.pk}/test", follow=True)
        self.assertContains(told, "It was heard: 200.")
        self.assertEqual(self.told()[0]["type"], "webhook.test")
        self.receiver.answers = [500]
        told = self.client.post(f"/webhooks/{webhook.pk}/test", follow=True)
        self.assertContains(told, "the answer was 500")
        send_webhooks()
        self.assertEqual(len(self.receiver.heard), 2)

    def test_what_is_no_address_or_asks_for_nothing_is_refused(self) -> None:
        for fields in (
            {"url": "", "events": "document.reviewed"},
            {"url": "ftp://example.org", "events": "document.reviewed"},
            {"url": "javascript:alert(1)", "events": "document.reviewed"},
            {"url": "https://example.org", "events": "webhook.test"},
            {"url": "https://example.org"},
            {"url": "https://example.org/" + "x" * 2000, "events": "document.reviewed"},
        ):
            self.assertEqual(self.client.post("/webhooks/add", fields).status_code, 422)
        self.assertEqual(Webhook.objects.count(), 0)

    def test_switched_off_and_removed_by_hand(self) -> None:
        webhook = self.add()
        self.client.post(f"/webhooks/{webhook.pk}/switch")
        self.review()
        self.assertEqual(Delivery.objects.count(), 0)
        self.client.post(f"/webhooks/{webhook.pk}/test")
        self.client.post(f"/webhooks/{webhook.pk}/remove")
        self.assertEqual((Webhook.objects.count(), Attempt.objects.count()), (0, 0))

    def test_deliveries_come_fifty_at_a_time_and_go_after_a_month(self) -> None:
        webhook = self.add()
        Delivery.objects.bulk_create(
            Delivery(webhook=webhook, event=Event.TEST, state="delivered", next_at=timezone.now())
            for _number in range(60)
        )
        page = self.client.get(f"/webhooks/{webhook.pk}").content.decode()
        self.assertEqual(page.count("Send again"), 50)
        older = page.split("?before=")[1].split('"')[0]
        rest = self.client.get(f"/webhooks/{webhook.pk}?before={older}").content.decode()
        self.assertEqual(rest.count("Send again"), 10)
        Delivery.objects.update(created_at=timezone.now() - datetime.timedelta(days=31))
        sweep_up()
        self.assertEqual(Delivery.objects.count(), 0)

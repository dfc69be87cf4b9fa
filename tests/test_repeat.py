"""The repeat test: a few documents come back to the same person later, unannounced."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from review.models import (
    Candidate,
    Decision,
    Document,
    Proposal,
    Purpose,
    Repeat,
    Role,
    Standing,
)
from review.pipeline import repeat

from .base import HouseTestCase, Page
from .fake_model import Reply, tags
from .world import make_ready


class Repeating(HouseTestCase):
    """Alice has picked on a document which is due to come back to her."""

    def setUp(self) -> None:
        super().setUp()
        self.share(0.5)

    def share(self, share: float) -> None:
        self.project.repeat_share = share
        self.project.save()

    def key(self, comes_back: bool) -> str:
        """The key of a page on which a pick is drawn to come back, or is not."""
        while True:
            key = uuid.uuid4()
            if (repeat._drawn(f"again:{key}") < self.project.repeat_share) == comes_back:
                return str(key)

    def pick(self, page: Page | None = None, place: int = 0, **fields: Any) -> HttpResponse:
        page = page or self.page()
        return self.client.post(page.urls[place], {**page.fields, **fields})  # type: ignore[return-value]

    def picked(self, external_id: str = "5201") -> Document:
        """A document on which alice decided, half an hour ago, and which is to come back."""
        document = self.ready(external_id)
        self.pick(key=self.key(comes_back=True))
        self.half_an_hour_later()
        return document

    def half_an_hour_later(self) -> None:
        for one in Repeat.objects.all():
            one.due_at -= timedelta(minutes=30)
            one.save()

    def undo(self) -> Page:
        answer = self.client.post("/undo", {"key": str(uuid.uuid4())})
        return Page(answer.content.decode())

    def ranks(self, page: Page) -> list[int]:
        """The model's ranks of the candidates, in the order of the page."""
        numbers = [int(url.split("/")[2]) for url in page.urls]
        return [Candidate.objects.get(pk=number).rank for number in numbers]

    def pairs(self) -> list[str]:
        out = StringIO()
        call_command("export_preferences", stdout=out)
        return out.getvalue().splitlines()


class Planning(Repeating):
    def test_about_the_projects_share_of_reviews_comes_back(self) -> None:
        make_ready(self.project, 60)
        self.share(0.5)
        for number in range(60):
            page = self.page()
            self.pick(page, key=str(uuid.UUID(int=number)))
        self.assertTrue(15 < Repeat.objects.count() < 45)
        self.assertFalse(Repeat.objects.filter(due_at__lt=timezone.now() + timedelta(minutes=19)))

    def test_a_repeated_post_draws_no_second_lot(self) -> None:
        self.ready()
        page = self.page()
        key = self.key(comes_back=True)
        self.pick(page, key=key)
        self.pick(page, key=key)
        self.assertEqual(Repeat.objects.count(), 1)

    def test_nothing_comes_back_where_the_share_is_none(self) -> None:
        key = self.key(comes_back=True)
        self.share(0)
        self.ready()
        self.pick(key=key)
        self.assertEqual(Repeat.objects.count(), 0)

    def test_neither_does_a_skipped_one_nor_one_with_a_single_candidate(self) -> None:
        self.model.default = Reply([tags("lib")] * 3)
        self.ready()
        self.pick(key=self.key(comes_back=True))
        self.model.default = Reply()
        self.ready("skipped")
        page = self.page()
        proposal = Proposal.objects.get(document__external_id="skipped")
        fields = {**page.fields, "key": self.key(comes_back=True), "reason": "field"}
        self.client.post(f"/proposals/{proposal.pk}/skip", fields)
        self.assertEqual(Decision.objects.count(), 2)
        self.assertEqual(Repeat.objects.count(), 0)


class ComingBack(Repeating):
    def test_it_comes_to_the_same_person_in_another_order_and_unannounced(self) -> None:
        self.ready()
        first = self.page()
        self.pick(first, key=self.key(comes_back=True))
        self.assertEqual(self.page().urls, [])  # not yet
        self.half_an_hour_later()
        bobs = Client()
        bobs.force_login(self.bob)
        self.assertEqual(self.page(bobs).urls, [])
        again = self.page()
        self.assertIn("Document 5201", again.html)
        self.assertEqual(sorted(again.urls), sorted(first.urls))
        self.assertNotEqual(again.urls, first.urls)
        self.assertNotIn("again", re.sub(r"<[^>]*>", "", again.html).lower())

    def test_the_order_is_another_for_every_document_and_is_stored(self) -> None:
        make_ready(self.project, 30)
        for proposal in Proposal.objects.all():
            once, twice = (
                proposal.order_for(self.alice.pk, again=again) for again in (False, True)
            )
            self.assertNotEqual(once, twice)
            self.assertEqual(sorted(once), sorted(twice))
        self.pick(key=self.key(comes_back=True))
        self.half_an_hour_later()
        self.share(0.5)
        Document.objects.filter(state="ready").update(state="retired")
        page = self.page()
        self.pick(page)
        self.assertEqual(Decision.objects.latest("pk").shown, self.ranks(page))

    def test_the_second_decision_counts_for_nothing_else(self) -> None:
        document = self.picked()
        pairs, before = self.pairs(), self.client.get("/documents/5201.json").json()
        self.pick(place=1)
        self.assertEqual(Decision.objects.count(), 2)
        document.refresh_from_db()
        self.assertEqual((document.state, document.reviews), ("reviewed", 1))
        self.assertEqual(self.pairs(), pairs)
        self.assertEqual(self.client.get("/documents/5201.json").json(), before)
        test = Repeat.objects.get()
        assert test.second is not None
        self.assertEqual(test.second.standing.purpose, Purpose.REPEAT)
        self.assertEqual(self.page().urls, [])  # once is enough
        self.assertEqual(Repeat.objects.count(), 1)  # a repeat does not come back

    def test_it_does_not_count_as_a_second_review(self) -> None:
        self.project.reviews_needed = 2
        self.project.save()
        document = self.picked()
        self.pick(place=1)
        document.refresh_from_db()
        self.assertEqual((document.state, document.reviews), ("ready", 1))

    def test_a_page_that_was_lost_is_handed_out_again(self) -> None:
        self.picked()
        lost, again = self.page(), self.page()
        self.assertEqual(lost.fields["lease"], again.fields["lease"])
        self.pick(again)
        answer = self.pick(lost, key=str(uuid.uuid4()))
        self.assertEqual(answer.status_code, 409)
        self.assertEqual(Decision.objects.count(), 2)

    def test_the_same_press_twice_is_stored_once(self) -> None:
        self.picked()
        page = self.page()
        for _ in range(2):
            self.assertEqual(self.pick(page).status_code, 302)
        self.assertEqual(Decision.objects.count(), 2)

    def test_an_open_page_of_it_is_held(self) -> None:
        self.picked()
        lease = {"lease": self.page().fields["lease"]}
        self.assertEqual(self.client.post("/leases/renew", lease).status_code, 204)
        bobs = Client()
        bobs.force_login(self.bob)
        self.assertEqual(bobs.post("/leases/renew", lease).status_code, 409)

    def test_nobody_else_can_answer_it_nor_with_another_documents_candidate(self) -> None:
        self.picked()
        page = self.page()
        bobs = Client()
        bobs.force_login(self.bob)
        self.assertEqual(bobs.post(page.urls[0], page.fields).status_code, 409)
        self.ready("other")
        other = Candidate.objects.filter(proposal__document__external_id="other").earliest("pk")
        answer = self.client.post(f"/candidates/{other.pk}/choose", page.fields)
        self.assertEqual(answer.status_code, 409)
        self.assertEqual(Decision.objects.count(), 1)

    def test_a_set_that_is_none_is_told_on_its_page(self) -> None:
        document = self.picked()
        page = self.page()
        proposal = document.proposals.get()
        answer = self.client.post(f"/proposals/{proposal.pk}/correct", page.fields)
        self.assertContains(answer, "Document 5201", status_code=422)
        self.assertEqual(Page(answer.content.decode()).urls, page.urls)

    def test_a_first_decision_taken_back_does_not_come_again_as_a_repeat(self) -> None:
        self.picked()
        self.undo()
        page = self.page()  # as a review
        self.pick(page, key=self.key(comes_back=False))
        self.assertEqual(self.page().urls, [])

    def test_nor_one_whose_candidates_are_others_by_now(self) -> None:
        self.picked()
        Proposal.objects.update(current=False)
        self.assertEqual(self.page().urls, [])

    def test_a_skip_ends_it(self) -> None:
        document = self.picked()
        page = self.page()
        proposal = document.proposals.get()
        self.client.post(f"/proposals/{proposal.pk}/skip", {**page.fields, "reason": "field"})
        self.assertIsNotNone(Repeat.objects.get().second)
        self.assertEqual(self.page().urls, [])


class TakingBack(Repeating):
    def test_it_comes_once_more_and_the_first_decision_stands(self) -> None:
        document = self.picked()
        first = self.page()
        self.pick(first)
        again = self.undo()
        self.assertIn("Document 5201", again.html)
        self.assertEqual(again.urls, first.urls)
        document.refresh_from_db()
        self.assertEqual((document.state, document.reviews), ("reviewed", 1))
        self.assertEqual(Standing.objects.count(), 1)
        self.pick(again, place=2)
        self.assertEqual(Repeat.objects.get().second, Decision.objects.latest("pk"))
        self.assertEqual(Standing.objects.count(), 2)

    def test_going_further_back_takes_the_first_decision_too(self) -> None:
        self.picked()
        self.pick()
        self.undo()
        self.undo()
        self.assertEqual(Standing.objects.count(), 0)
        self.assertEqual(Document.objects.get().state, "ready")


class BetweenOthers(Repeating):
    """On the desk as its script works it: with one document on the page and one in store."""

    def setUp(self) -> None:
        super().setUp()
        self.picked()
        make_ready(self.project, 12)

    def stored(self, answer: Any) -> Page:
        self.assertEqual(answer.get("HX-Reswap"), "none", answer.content.decode()[:300])
        return Page(answer.content.decode())

    def test_it_comes_among_them_and_no_document_stays_held_for_it(self) -> None:
        shown = self.next_page()
        fragment = self.client.get("/next", {"after": self.number(shown)})
        store = Page(fragment.content.decode())
        seen = [self.number(shown)]
        while shown.urls and len(seen) < 13:
            fields = {"key": self.key(comes_back=False)}
            if store.urls:
                fields["prefetched"] = store.fields["lease"]
            answer = self.client.post(
                shown.urls[0], {**shown.fields, **fields}, headers={"HX-Request": "true"}
            )
            if store.urls:
                shown, store = store, self.stored(answer)
            else:
                shown, store = Page(answer.content.decode()), Page("")
            if shown.urls:
                seen.append(self.number(shown))
            held = Document.objects.filter(lease_holder=self.alice)
            self.assertLessEqual(held.count(), 2)
        first = Document.objects.get(external_id="5201").pk
        self.assertEqual(seen.count(first), 1)
        self.assertEqual(len(set(seen)), 13)
        self.assertEqual(Repeat.objects.exclude(second=None).count(), 1)

    def next_page(self) -> Page:
        self.share(0)
        page = self.page()
        self.share(0.5)
        return page

    def number(self, page: Page) -> int:
        return Candidate.objects.get(pk=int(page.urls[0].split("/")[2])).proposal.document_id

    def test_looking_for_it_costs_most_picks_nothing(self) -> None:
        self.share(0.02)
        others = list(Document.objects.filter(state="ready"))
        looks = [one for one in others if repeat._drawn(f"look:{self.alice.pk}:{one.pk}") < 0.04]
        with CaptureQueriesContext(connection) as queries:
            for one in set(others).difference(looks):
                repeat.instead_of(one, self.project, self.alice)
        self.assertEqual(len(queries), 0)


class Comparing(Repeating):
    def test_the_curator_sees_how_far_each_agrees_with_themselves(self) -> None:
        for number, place in (("1", 0), ("2", 0), ("3", 1)):
            self.picked(number)
            first = Decision.objects.latest("pk")
            page = self.page()
            ranks = self.ranks(page)
            assert first.candidate is not None
            same = ranks.index(first.candidate.rank)
            self.pick(page, place=(same + place) % 3, key=self.key(comes_back=False))
        carols = Client()
        carols.force_login(self.member("carol", Role.CURATOR))
        html = carols.get("/agreement").content.decode()
        row = re.sub(r"<[^>]*>|\s+", " ", html[html.index('id="again"') :]).split()
        place = row.index("alice")
        self.assertEqual(row[place + 1 : place + 4], ["3", "67", "%"])


def test_a_draw_is_always_the_same_one() -> None:
    assert repeat._drawn("x") == repeat._drawn("x")
    assert 400 < sum(repeat._drawn(str(number)) < 0.5 for number in range(1000)) < 600

"""What a reviewer can do beside picking: correct, none, skip, undo, and hold a page open."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from review.models import Decision, DecisionTag, Document, DocumentState, Standing, Tag
from review.pipeline.close import settle_counts

from .base import HouseTestCase, Page
from .fake_model import Reply, tags


class Acting(HouseTestCase):
    def act(self, verb: str, page: Page | None = None, **fields: Any) -> HttpResponse:
        page = page or self.page()
        proposal = Document.objects.get(lease_token=page.fields["lease"]).proposals.get(
            current=True
        )
        url = f"/proposals/{proposal.pk}/{verb}"
        return self.client.post(url, {**page.fields, **fields})  # type: ignore[return-value]

    def undo(self) -> HttpResponse:
        return self.client.post("/undo", {"key": str(uuid.uuid4())})  # type: ignore[return-value]

    def pairs(self) -> list[dict[str, Any]]:
        out = StringIO()
        call_command("export_preferences", stdout=out)
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def numbers(self, *names: str) -> list[int]:
        return [Tag.objects.get(project=self.project, name=name).number for name in names]

    def answer(self, external_id: str = "5201") -> list[str]:
        found = self.client.get(f"/documents/{external_id}.json").json()
        return [tag["name"] for tag in found["tags"]]


class Correcting(Acting):
    def test_a_set_of_ones_own_beats_all_three_and_keeps_its_order(self) -> None:
        self.ready()
        self.act("correct", tags=self.numbers("security", "ai"))
        self.assertEqual(Decision.objects.get().kind, "correct")
        self.assertEqual(self.answer(), ["security", "ai"])
        pairs = self.pairs()
        self.assertEqual(len(pairs), 3)
        self.assertEqual({pair["chosen"][0]["content"] for pair in pairs}, {tags("security", "ai")})

    def test_a_set_that_was_on_the_page_is_a_pick(self) -> None:
        self.ready()
        self.act("correct", tags=self.numbers("cli", "lib"))
        self.assertEqual(Decision.objects.get().kind, "pick")

    def test_none_too_many_repeated_unknown_and_retired_tags_are_said_and_change_nothing(
        self,
    ) -> None:
        self.ready()
        Tag.objects.filter(name="blog").update(retired_at=timezone.now())
        bad: list[list[Any]] = [
            [],
            self.numbers("ai", "api", "cli", "lib"),
            self.numbers("ai", "ai"),
            self.numbers("blog"),
            [999_999],
            ["nonsense"],
            [*self.numbers("ai"), 999_999],
        ]
        for numbers in bad:
            with self.subTest(numbers=numbers):
                answer = self.act("correct", tags=numbers)
                self.assertEqual(answer.status_code, 422)
                self.assertIn("Document 5201", answer.content.decode())  # still on the page
        self.assertEqual(Decision.objects.count(), 0)

    def test_the_database_refuses_a_fourth_tag_in_a_corrected_set(self) -> None:
        self.ready()
        self.act("correct", tags=self.numbers("security", "ai"))
        tag = Tag.objects.get(project=self.project, name="api")
        with self.assertRaises(IntegrityError), transaction.atomic():
            DecisionTag.objects.create(decision=Decision.objects.get(), tag=tag, position=4)

    def test_the_type_ahead_gets_the_active_tags(self) -> None:
        Tag.objects.filter(name="blog").update(retired_at=timezone.now())
        answer = self.client.get("/vocabulary.json")
        self.assertEqual(len(answer.json()["tags"]), 89)
        again = self.client.get("/vocabulary.json", headers={"If-None-Match": answer["ETag"]})
        self.assertEqual(again.status_code, 304)


class Declining(Acting):
    def test_none_fits_is_a_review_without_tags_or_pairs(self) -> None:
        document = self.ready()
        self.act("none", note="“crypto” is missing")
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.REVIEWED)
        self.assertEqual((self.answer(), self.pairs()), ([], []))
        self.assertEqual(Decision.objects.get().note, "“crypto” is missing")

    def test_a_skipped_document_goes_to_others_and_never_back(self) -> None:
        document = self.ready()
        self.act("skip", reason="language")
        document.refresh_from_db()
        self.assertEqual((document.state, document.reviews), (DocumentState.READY, 0))
        self.assertEqual(self.page().urls, [])
        bobs = Client()
        bobs.force_login(self.bob)
        self.assertEqual(len(self.page(bobs).urls), 3)
        self.assertEqual(Decision.objects.get().skip_reason, "language")


class Undoing(Acting):
    def pick(self) -> None:
        page = self.page()
        self.client.post(page.urls[0], page.fields)

    def test_an_undone_pick_leaves_no_pair_and_its_document_comes_again(self) -> None:
        document = self.ready("1")
        self.ready("2")
        self.pick()
        answer = self.undo()
        self.assertIn("Document 1", answer.content.decode())
        document.refresh_from_db()
        self.assertEqual((document.state, document.reviews), (DocumentState.READY, 0))
        self.assertEqual((self.pairs(), self.answer("1")), ([], []))
        self.assertEqual(Decision.objects.count(), 2)  # nothing was rewritten

    def test_going_back_several_times_and_deciding_anew(self) -> None:
        for number in "123":
            self.ready(number)
            self.pick()
        self.undo()
        self.assertIn("Document 2", self.undo().content.decode())
        self.assertEqual(Standing.objects.count(), 1)
        page = Page(self.undo().content.decode())
        self.assertEqual(Standing.objects.count(), 0)
        self.client.post(page.urls[1], page.fields)
        self.assertEqual(Standing.objects.count(), 1)
        self.assertEqual(len(self.pairs()), 2)

    def test_a_repeated_undo_takes_one_back(self) -> None:
        for number in "12":
            self.ready(number)
            self.pick()
        key = {"key": str(uuid.uuid4())}
        self.client.post("/undo", key)
        self.client.post("/undo", key)
        self.assertEqual(Standing.objects.count(), 1)

    def test_nothing_to_take_back_is_said(self) -> None:
        self.assertContains(self.undo(), "nothing to take back")

    def test_a_skip_and_a_none_are_taken_back_as_well(self) -> None:
        self.ready()
        self.act("skip", reason="field")
        self.undo()
        self.act("none")
        self.undo()
        self.pick()
        self.assertEqual(Document.objects.get().reviews, 1)

    def test_nobody_undoes_for_others(self) -> None:
        self.ready()
        self.pick()
        bobs = Client()
        bobs.force_login(self.bob)
        bobs.post("/undo", {"key": str(uuid.uuid4())})
        self.assertEqual(Standing.objects.count(), 1)

    def test_looking_back_shows_what_stands_and_what_does_not(self) -> None:
        self.ready()
        self.pick()
        self.undo()
        self.assertContains(self.client.get("/history"), "Document 5201")


class Waiting(Acting):
    def test_the_next_document_is_leased_and_handed_over_at_once(self) -> None:
        first, second = self.ready("1"), self.ready("2")
        page = self.page()
        fragment = self.client.get("/next", {"after": first.pk}, headers={"HX-Request": "true"})
        following = Page(fragment.content.decode())
        self.assertIn("Document 2", following.html)
        self.assertIn("Document 1", self.page().html)  # the page itself has not moved on
        fields = {**page.fields, "prefetched": following.fields["lease"]}
        answer = self.client.post(page.urls[0], fields, headers={"HX-Request": "true"})
        self.assertEqual(answer["HX-Reswap"], "none")
        self.assertIn("desk:saved", answer["HX-Trigger"])
        self.assertNotContains(answer, "Document 2")
        self.client.post(following.urls[0], following.fields)
        second.refresh_from_db()
        self.assertEqual(second.state, DocumentState.REVIEWED)
        third = self.client.get("/next", {"after": second.pk})
        self.assertEqual(third.status_code, 204)

    def test_an_undo_leaves_a_document_closed_that_has_reviews_enough(self) -> None:
        self.project.reviews_needed = 2
        self.project.save()
        self.ready()
        bobs = Client()
        bobs.force_login(self.bob)
        for client in (self.client, bobs):
            page = self.page(client)
            client.post(page.urls[0], page.fields)
        self.project.reviews_needed = 1
        self.project.save()
        answer = self.client.post("/undo", {"key": str(uuid.uuid4())}, headers={"HX-Request": "1"})
        self.assertContains(answer, "done without it")
        document = Document.objects.get()
        self.assertEqual((document.state, document.reviews), (DocumentState.REVIEWED, 1))

    def test_an_address_that_names_no_document_is_as_one_without(self) -> None:
        self.ready("1")
        for after in ("x", "-1", "9" * 20, "9" * 5000, "٣"):
            page = self.client.get("/next", {"after": after}, headers={"HX-Request": "true"})
            self.assertContains(page, "Document 1")

    def test_a_document_does_not_follow_itself(self) -> None:
        document = self.ready("1")
        page = self.page()
        self.client.post("/leases/release", {"lease": page.fields["lease"]})  # as a reload does
        self.assertEqual(self.client.get("/next", {"after": document.pk}).status_code, 204)

    def test_a_prefetched_document_that_was_lost_is_replaced(self) -> None:
        self.ready("1")
        self.ready("2")
        page = self.page()
        fields = {**page.fields, "prefetched": str(uuid.uuid4())}
        answer = self.client.post(page.urls[0], fields, headers={"HX-Request": "true"})
        self.assertContains(answer, "Document 2")

    def test_an_open_page_keeps_its_lease_and_a_left_one_gives_it_back(self) -> None:
        document = self.ready()
        page = self.page()
        lease = {"lease": page.fields["lease"]}
        soon = timezone.now() + timedelta(seconds=5)
        Document.objects.update(lease_expires_at=soon)
        self.assertEqual(self.client.post("/leases/renew", lease).status_code, 204)
        document.refresh_from_db()
        assert document.lease_expires_at
        self.assertGreater(document.lease_expires_at, soon)
        bobs = Client()
        bobs.force_login(self.bob)
        bobs.post("/leases/release", lease)  # another's lease is not his to give
        self.assertEqual(self.page(bobs).urls, [])
        self.client.post("/leases/release", lease)
        self.assertEqual(len(self.page(bobs).urls), 3)
        self.assertEqual(self.client.post("/leases/renew", lease).status_code, 409)

    def test_a_page_that_was_left_and_come_back_to_still_counts(self) -> None:
        self.ready()
        page = self.page()
        self.client.post("/leases/release", {"lease": page.fields["lease"]})
        self.client.post(page.urls[0], page.fields)
        self.assertEqual(Decision.objects.count(), 1)


class Order(Acting):
    def test_pinned_first_then_where_the_candidates_disagree_most_then_by_arrival(self) -> None:
        self.model.say(Reply([tags("lib", "cli"), tags("lib", "cli", "ai"), tags("lib", "ai")]))
        self.ready("alike")
        self.model.default = Reply([tags("lib"), tags("cli"), tags("ai")])
        self.ready("apart")
        self.ready("apart too")
        self.ready("pinned")
        self.model.default = Reply([tags("lib")] * 3)
        self.ready("one set")
        Document.objects.filter(external_id="pinned").update(pinned=True)
        seen = []
        while (page := self.page()).urls:
            lease = page.fields["lease"]
            seen.append(Document.objects.get(lease_token=lease).external_id)
            self.client.post(page.urls[0], page.fields)
        self.assertEqual(seen, ["pinned", "apart", "apart too", "alike", "one set"])

    def test_raising_the_reviews_needed_reopens_and_lowering_closes(self) -> None:
        document = self.ready()
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        self.project.reviews_needed = 2
        self.project.save()
        self.assertEqual(settle_counts(self.project), (1, 0))
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.READY)
        self.assertEqual(self.page().urls, [])  # alice has had her say
        self.project.reviews_needed = 1
        self.project.save()
        self.assertEqual(settle_counts(self.project), (0, 1))


class Speaking(Acting):
    def test_the_desk_speaks_simplified_chinese_to_browsers_that_ask_for_it(self) -> None:
        self.ready()
        answer = self.client.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
        self.assertContains(answer, "都不合适")
        self.assertContains(self.client.get("/"), "None fits")

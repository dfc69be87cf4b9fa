"""Gold: documents whose answer is known come among the others, and say who is right."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client, SimpleTestCase, TransactionTestCase
from django.test.utils import CaptureQueriesContext

from review.insight import gold as insight
from review.insight.agreement import report
from review.insight.interval import wilson
from review.models import (
    Candidate,
    Decision,
    Document,
    Event,
    Gold,
    GoldTurn,
    Membership,
    Project,
    Proposal,
    Purpose,
    Role,
    Standing,
    Tag,
)
from review.pipeline import decide, gold, queue, revoke
from review.pipeline.erase import erase
from review.pipeline.pair import pairs
from review.pipeline.refusal import Conflict
from review.pipeline.verify import Verified, verify
from review.pipeline.webhook import register

from .base import Page
from .test_release import Releasing
from .world import make_ready

BEST = ("lib", "cli")  # the model's first answer


class Golden(Releasing):
    """Bob has reviewed a document, and carol, the curator, says what is right of it."""

    def setUp(self) -> None:
        super().setUp()
        self.needs(1)
        self.every(2)  # in front of each document of the queue
        self.alices = self.as_user(self.alice)

    def every(self, count: int) -> None:
        self.project.gold_every = count
        self.project.save()

    def reviewed(self, external_id: str = "g", rank: int = 2) -> Document:
        document = self.ready(external_id)
        self.every(0)
        self.pick(self.bob, rank)
        self.every(2)
        return document

    def mark(
        self,
        document: Document,
        best: Sequence[str] = BEST,
        client: Client | None = None,
        others: dict[str, list[str]] | None = None,
        **more: str,
    ) -> HttpResponse:
        return (client or self.curator).post(  # type: ignore[return-value]
            f"/gold/{document.pk}/mark", {"best": [*best, ""], **(others or {}), **more}
        )

    def gold(self, external_id: str = "g", others: dict[str, list[str]] | None = None) -> Document:
        document = self.reviewed(external_id)
        self.assertEqual(self.mark(document, others=others).status_code, 302)
        return document

    def number(self, page: Page) -> int:
        """Of the document that is on the page."""
        key = int(page.urls[0].split("/")[2])
        return Candidate.objects.get(pk=key).proposal.document_id

    def urls(self, page: Page) -> dict[int, str]:
        """By the rank of the candidate."""
        keys = {int(url.split("/")[2]): url for url in page.urls}
        return {one.rank: keys[one.pk] for one in Candidate.objects.filter(pk__in=keys)}

    def choose(self, rank: int = 1, client: Client | None = None, page: Page | None = None) -> Any:
        client = client or self.alices
        page = page or self.page(client)
        return client.post(self.urls(page)[rank], page.fields)

    def taken_back(self, client: Client | None = None) -> Page:
        answer = (client or self.alices).post("/undo", {"key": str(uuid.uuid4())})
        return Page(answer.content.decode())

    def rows_of(self, name: str = "gold") -> list[dict[str, str]]:
        answer = self.curator.get(f"/insight/{name}.csv")
        return list(csv.DictReader(io.StringIO(answer.content.decode())))

    def sound(self) -> None:
        self.assertEqual(list(verify(Verified())), [])


class Marking(Golden):
    def test_the_form_has_the_tags_that_stand(self) -> None:
        document = self.reviewed(rank=1)
        self.assertContains(self.curator.get("/documents/g"), f"/gold/{document.pk}")
        html = self.curator.get(f"/gold/{document.pk}").content.decode()
        self.assertEqual(re.findall(r'name="best" value="([^"]*)"', html), ["lib", "cli", ""])
        self.assertNotContains(self.alices.get("/documents/g"), "/gold/")

    def test_an_answer_is_kept_with_who_gave_it(self) -> None:
        document = self.gold(others={"acceptable-1": ["LIB"], "acceptable-3": ["http", "25"]})
        known = Gold.objects.get()
        self.assertEqual(known.best, self.numbers(*BEST))
        self.assertEqual(known.acceptable, [self.numbers("lib"), [*self.numbers("http"), 25]])
        self.assertEqual((known.by, known.document), (self.carol, document))
        self.assertContains(self.curator.get("/documents/g"), "its answer is known")
        html = self.curator.get(f"/gold/{document.pk}").content.decode()
        self.assertEqual(re.findall(r'name="acceptable-2" value="(\w*)', html)[0], "http")

    def test_the_same_answer_again_adds_nothing_and_another_keeps_the_first(self) -> None:
        document = self.gold(others={"acceptable-1": ["http"]})
        self.mark(document, ("cli", "lib"), others={"acceptable-2": ["http"]})
        self.assertEqual(Gold.objects.count(), 1)
        self.mark(document, ("http",))
        self.assertEqual(
            list(Gold.objects.order_by("pk").values_list("current", flat=True)), [0, 1]
        )
        self.assertEqual(Gold.objects.get(current=True).best, self.numbers("http"))
        html = self.curator.get(f"/gold/{document.pk}").content.decode()
        self.assertEqual(html.count("<bdi>carol</bdi>"), 2)

    def test_that_no_tag_fits_is_an_answer(self) -> None:
        document = self.reviewed()
        self.assertEqual(self.mark(document, ()).status_code, 422)
        self.assertEqual(self.mark(document, BEST, none="1").status_code, 422)
        self.assertEqual(self.mark(document, (), none="1").status_code, 302)
        self.assertEqual(Gold.objects.get().best, [])
        self.assertContains(self.curator.get(f"/gold/{document.pk}"), 'value="1" checked')

    def test_what_is_no_set_is_told_and_stays_in_its_fields(self) -> None:
        document = self.reviewed()
        for wrong, told in (
            (("no such tag",), "There is no tag “no such tag”."),
            (("lib", "lib"), "A tag can be given once."),
            (("lib", "cli", "http", "ai"), "1 to 3 tags, not 4"),
        ):
            answer = self.mark(document, wrong)
            self.assertContains(answer, told, status_code=422)
            self.assertContains(answer, f'name="best" value="{wrong[0]}"', status_code=422)
        answer = self.mark(document, BEST, others={"acceptable-1": ["cli", "nothing"]})
        self.assertContains(answer, 'name="acceptable-1" value="cli"', status_code=422)
        self.assertFalse(Gold.objects.exists())

    def test_withdrawn_it_is_gold_no_more_and_what_was_said_stays(self) -> None:
        document = self.gold()
        url = f"/gold/{document.pk}/withdraw"
        self.assertContains(self.curator.post(url, follow=True), "It is gold no more")
        self.assertContains(self.curator.post(url, follow=True), "Nothing was changed")
        self.assertEqual(Gold.objects.count(), 2)
        self.assertContains(self.curator.get(f"/gold/{document.pk}"), "Withdrawn")
        self.mark(document)
        self.assertEqual(gold.live().count(), 1)

    def test_reviewers_may_not_and_other_projects_documents_are_not_there(self) -> None:
        document = self.gold()
        for path in ("/gold", f"/gold/{document.pk}"):
            self.assertEqual(self.alices.get(path).status_code, 403)
        self.assertEqual(self.mark(document, ("http",), self.alices).status_code, 403)
        other = type(self.project).objects.create(name="Another")
        Membership.objects.filter(user=self.carol).update(project=other)
        self.assertEqual(self.mark(document, ("http",)).status_code, 404)
        self.assertEqual(self.curator.get(f"/gold/{document.pk}").status_code, 404)
        self.assertNotContains(self.curator.get("/gold"), "Document g")
        self.assertEqual(Gold.objects.count(), 1)

    def test_an_owner_sets_how_many(self) -> None:
        owners = self.as_user(self.member("olga", Role.OWNER))
        url = f"/admin/review/project/{self.project.pk}/change/"
        fields: dict[str, Any] = {"name": "READMEs", "max_tags": 3, "reviews_needed": 1}
        fields |= {"repeat_share": 0, "prompt": "", "guidelines": ""}
        fields |= {f"memberships-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL")}
        self.assertContains(owners.post(url, {**fields, "gold_every": 1}), "2 and more")
        self.assertEqual(owners.post(url, {**fields, "gold_every": 7}).status_code, 302)
        self.project.refresh_from_db()
        self.assertEqual(self.project.gold_every, 7)
        self.assertContains(self.curator.get("/gold"), "one in 7 documents")


class HandedOut(Golden):
    def test_it_comes_before_a_document_of_the_queue_which_comes_after(self) -> None:
        known, other = self.gold(), self.ready("q")
        page = self.page(self.alices)
        self.assertEqual(self.number(page), known.pk)
        self.assertEqual(self.number(self.page(self.alices)), known.pk)  # loaded again
        self.choose(page=page)
        page = self.page(self.alices)
        self.assertEqual(self.number(page), other.pk)
        self.assertEqual(self.choose(page=page).status_code, 302)
        self.assertEqual(self.page(self.alices).urls, [])
        self.assertEqual(GoldTurn.objects.count(), 1)
        self.sound()

    def test_its_page_is_like_any_other(self) -> None:
        """The same markup, but for the document's own words, its numbers and its tokens."""
        self.gold()
        self.ready("q")
        shown = self.page(self.alices)
        self.choose(page=shown)
        other = self.page(self.alices)

        def plain(page: Page) -> str:
            html = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", page.html)
            html = re.sub(r'name="csrfmiddlewaretoken" value="\w+"|nonce="[^"]+"', "", html)
            html = re.sub(r"Document [gq]\b|/[gq]\b|>[gq]<", "NAME", html)
            html = re.sub(r'<button class="pick".*?</button>', "PICK", html, flags=re.S)
            html = re.sub(r'<div id="progress".*?</div>|<option.*?</option>', "", html, flags=re.S)
            html = re.sub(r'<(dl|ul|div|p) [^>]*id="meanings.*?</\1>', "", html, flags=re.S)
            return re.sub(r"\d+", "N", html)

        self.assertEqual(plain(shown), plain(other))
        self.assertEqual(shown.html.count("gold"), 0)
        self.assertEqual(shown.fields.keys(), other.fields.keys())

    def test_what_stands_is_not_told_to_who_has_it_as_gold(self) -> None:
        self.gold()
        self.ready("q")
        before = self.alices.get("/documents/g.json").json()["tags"]
        self.assertEqual(len(before), 2)
        page = self.page(self.alices)
        self.assertEqual(self.alices.get("/documents/g.json").json()["tags"], [])
        html = self.alices.get("/documents/g").content.decode()
        self.assertNotIn("Final tags", html)
        self.assertIn("Ready to review", html)
        self.assertEqual(len(self.as_user(self.bob).get("/documents/g.json").json()["tags"]), 2)
        self.choose(page=page)
        self.assertEqual(self.alices.get("/documents/g.json").json()["tags"], before)

    def test_several_people_have_it_at_once(self) -> None:
        known = self.gold()
        make_ready(self.project, 2)
        dora = self.as_user(self.member("dora", Role.REVIEWER))
        ones, others = self.page(self.alices), self.page(dora)
        self.assertEqual((self.number(ones), self.number(others)), (known.pk, known.pk))
        self.assertNotEqual(ones.fields["lease"], others.fields["lease"])
        self.assertEqual(self.choose(1, self.alices, ones).status_code, 302)
        self.assertEqual(self.choose(2, dora, others).status_code, 302)
        known.refresh_from_db()
        self.assertEqual((known.state, known.reviews, known.lease_token), ("reviewed", 1, None))
        self.assertEqual(Standing.objects.filter(purpose=Purpose.GOLD).count(), 2)
        self.sound()

    def test_about_one_in_so_many_is_gold_and_none_comes_twice(self) -> None:
        self.every(0)
        make_ready(self.project, 30)
        for document in Document.objects.order_by("pk"):
            self.pick(self.bob, 1)
            gold.mark(document, [Tag.objects.get(name="ai")], by=self.carol)
        make_ready(self.project, 60)
        self.every(4)
        known = set(gold.live().values_list("document", flat=True))
        seen = []
        while (page := self.page(self.alices)).urls:
            seen.append(self.number(page))
            self.choose(page=page)
        self.assertEqual(len(set(seen)), len(seen))
        self.assertEqual(len(set(seen) - known), 60)
        drawn = [
            document
            for document in Document.objects.exclude(pk__in=known)
            if gold.is_drawn(self.alice, document, 4)
        ]
        self.assertEqual(len(set(seen) & known), len(drawn))
        self.assertEqual(GoldTurn.objects.filter(decision__isnull=False).count(), len(drawn))

    def test_it_is_not_handed_to_who_knows_it(self) -> None:
        self.gold()
        self.ready("q")
        for user in (self.bob, self.carol):  # who reviewed it, and who said what is right
            page = self.page(self.as_user(user))
            self.assertIn("Document q", page.html)
            self.client.post("/leases/release", {"lease": page.fields["lease"]})
            Document.objects.update(lease_token=None, lease_holder=None, lease_expires_at=None)
        self.assertIn("Document g", self.page(self.alices).html)

    def test_none_comes_where_there_is_no_rate_no_queue_or_no_gold(self) -> None:
        known = self.gold()
        self.assertEqual(self.page(self.alices).urls, [])  # nothing else is to be done
        self.ready("q")
        self.every(0)
        page = self.page(self.alices)
        self.assertIn("Document q", page.html)
        self.alices.post("/leases/release", {"lease": page.fields["lease"]})
        self.every(2)
        self.curator.post(f"/gold/{known.pk}/withdraw")
        self.assertIn("Document q", self.page(self.alices).html)
        self.assertFalse(GoldTurn.objects.exists())

    def test_what_is_open_comes_again_when_the_queue_is_empty_but_not_when_withdrawn(self) -> None:
        known = self.gold()
        self.ready("q")
        first = self.page(self.alices)
        Document.objects.filter(external_id="q").update(state="retired")
        again = self.page(self.alices)
        self.assertEqual(first.fields["lease"], again.fields["lease"])
        self.curator.post(f"/gold/{known.pk}/withdraw")
        self.assertEqual(self.page(self.alices).urls, [])

    def test_what_is_open_comes_in_place_of_another(self) -> None:
        known = self.gold()
        self.gold("h")
        self.ready("q")
        first = self.page(self.alices)
        Document.objects.filter(external_id="q").update(state="retired")
        self.ready("r")
        self.assertEqual(self.number(first), self.number(self.page(self.alices)))
        self.assertEqual(GoldTurn.objects.count(), 1)
        self.choose()
        self.assertIn("Document r", self.page(self.alices).html)
        self.assertIn(self.number(first), (known.pk, known.pk + 1))

    def test_a_document_that_waits_for_reviews_is_not_handed_out_as_gold(self) -> None:
        document = self.ready("w")
        self.mark(document)
        self.assertIn("Document w", self.page(self.alices).html)
        self.choose()
        self.assertFalse(GoldTurn.objects.exists())
        self.assertEqual(self.state("w"), ("reviewed", 1))

    def test_an_open_page_of_it_is_held_and_is_nobody_elses(self) -> None:
        self.gold()
        self.ready("q")
        page = self.page(self.alices)
        lease = {"lease": page.fields["lease"]}
        self.assertEqual(self.alices.post("/leases/renew", lease).status_code, 204)
        bobs = self.as_user(self.bob)
        self.assertEqual(bobs.post("/leases/renew", lease).status_code, 409)
        self.assertEqual(self.choose(1, bobs, page).status_code, 409)
        self.alices.post("/leases/release", lease)
        self.assertEqual(self.choose(page=page).status_code, 302)

    def test_the_same_press_twice_is_stored_once_and_a_lost_page_changes_nothing(self) -> None:
        self.gold()
        self.ready("q")
        lost, page = self.page(self.alices), self.page(self.alices)
        for _ in range(2):
            self.assertEqual(self.choose(page=page).status_code, 302)
        self.assertEqual(self.choose(2, page=lost).status_code, 409)
        self.assertEqual(Decision.objects.filter(reviewer=self.alice).count(), 1)

    def test_a_set_that_is_none_is_told_on_its_page(self) -> None:
        document = self.gold()
        self.ready("q")
        page = self.page(self.alices)
        proposal = document.proposals.get()
        answer = self.alices.post(f"/proposals/{proposal.pk}/correct", page.fields)
        self.assertContains(answer, "Document g", status_code=422)
        self.assertEqual(Page(answer.content.decode()).urls, page.urls)

    def test_one_whose_candidates_are_others_by_now_is_not_decided_on(self) -> None:
        self.gold()
        self.ready("q")
        page = self.page(self.alices)
        Proposal.objects.filter(document__external_id="g").update(current=False)
        self.assertEqual(self.choose(page=page).status_code, 409)
        self.assertIn("Document q", self.page(self.alices).html)

    def test_looking_for_it_costs_most_picks_nothing(self) -> None:
        make_ready(self.project, 30)
        self.every(10)
        others = [one for one in Document.objects.all() if not gold.is_drawn(self.alice, one, 10)]
        with CaptureQueriesContext(connection) as queries:
            for one in others:
                self.assertIsNone(gold.instead_of(one, self.project, self.alice))
        self.assertEqual(len(queries), 0)

    def test_a_pick_is_told_of_the_rate_without_a_query_more(self) -> None:
        make_ready(self.project, 6)

        def queries() -> int:
            page = self.page(self.alices)
            fields = {**page.fields, "prefetched": str(uuid.uuid4())}
            with CaptureQueriesContext(connection) as found:
                self.alices.post(page.urls[0], fields, headers={"HX-Request": "true"})
            return len(found)

        self.every(0)
        queries()
        without = queries()
        self.every(1000)
        self.assertEqual(queries(), without)


class InStore(Golden):
    """On the desk as its script works it: with one document on the page and one in store."""

    def test_it_comes_among_them_and_no_document_stays_held_for_it(self) -> None:
        for name in ("g", "h"):
            self.gold(name)
        make_ready(self.project, 8)
        shown = self.page(self.alices)
        fragment = self.alices.get("/next", {"after": self.number(shown)})
        store = Page(fragment.content.decode())
        seen = [self.number(shown)]
        while shown.urls and len(seen) < 12:
            fields = {**shown.fields}
            if store.urls:
                fields["prefetched"] = store.fields["lease"]
            answer = self.alices.post(shown.urls[0], fields, headers={"HX-Request": "true"})
            self.assertEqual(answer.status_code, 200)
            if store.urls:
                self.assertEqual(answer.get("HX-Reswap"), "none", answer.content.decode()[:300])
                shown, store = store, Page(answer.content.decode())
            else:
                shown, store = Page(answer.content.decode()), Page("")
            if shown.urls:
                seen.append(self.number(shown))
            held = Document.objects.filter(lease_holder=self.alice)
            self.assertLessEqual(held.count(), 2)
        self.assertEqual(len(set(seen)), 10)
        self.assertEqual(len(seen), 10)
        self.assertEqual(GoldTurn.objects.exclude(decision=None).count(), 2)
        self.assertFalse(Document.objects.filter(state="ready").exists())
        self.sound()


class Deciding(Golden):
    def test_it_changes_nothing_that_stands(self) -> None:
        webhook = register(self.project, "http://127.0.0.1:1/", [Event.REVIEWED])
        document = self.gold()
        told = webhook.deliveries.count()
        self.ready("q")
        before = (
            [pair.decision.pk for pair in pairs(self.project)],
            self.as_user(self.bob).get("/documents/g.json").json(),
            self.state("g"),
        )
        self.choose(3)
        decision = Decision.objects.get(reviewer=self.alice)
        self.assertEqual(decision.document, document)
        self.assertEqual(decision.standing.purpose, Purpose.GOLD)
        self.assertEqual(decision.gold_turn.document, document)
        self.assertEqual(decision.shown, decision.proposal.order_for(self.alice.pk))  # type: ignore[union-attr]
        after = (
            [pair.decision.pk for pair in pairs(self.project)],
            self.as_user(self.bob).get("/documents/g.json").json(),
            self.state("g"),
        )
        self.assertEqual(after, before)
        self.assertEqual(webhook.deliveries.count(), told)
        self.assertEqual(report(self.project).together.documents, 0)
        found = self.curator.get("/documents", {"tag": str(self.numbers("framework")[0])})
        self.assertNotContains(found, "Document g")
        self.sound()

    def test_it_does_not_come_back_as_a_repeat_nor_is_it_a_review(self) -> None:
        self.project.repeat_share = 0.5
        self.project.save()
        self.needs(2)
        self.ready("g")
        self.every(0)
        self.pick(self.bob, 1)
        self.pick(self.carol, 1)
        self.every(2)
        dora = self.as_user(self.member("dora", Role.CURATOR))
        self.mark(Document.objects.get(external_id="g"), client=dora)
        self.ready("q")
        self.choose(2)
        self.assertEqual(self.state("g"), ("reviewed", 2))
        self.assertFalse(self.alice.repeats.filter(first__document__external_id="g").exists())

    def test_a_set_of_ones_own_none_and_a_skip_are_kept_alike(self) -> None:
        for name in ("a", "b", "c"):
            self.gold(name)
        make_ready(self.project, 4)
        for what, fields in (
            ("correct", {"tags": self.numbers(*BEST[::-1])}),  # as the model's first: a pick
            ("none", {}),
            ("skip", {"reason": "field"}),
        ):
            while not GoldTurn.objects.filter(decision=None).exists():
                page = self.page(self.alices)
                if not GoldTurn.objects.filter(decision=None).exists():
                    self.choose(page=page)
            page = self.page(self.alices)
            proposal = Proposal.objects.get(document=self.number(page), current=True)
            url = f"/proposals/{proposal.pk}/{what}"
            self.assertEqual(self.alices.post(url, {**page.fields, **fields}).status_code, 302)
        kinds = [turn.decision.kind for turn in GoldTurn.objects.order_by("pk") if turn.decision]
        self.assertEqual(kinds, ["pick", "none", "skip"])
        (alice,) = self.rows_of()
        self.assertEqual((alice["decisions"], alice["right"], alice["skipped"]), ("2", "0.5", "1"))

    def test_taken_back_it_comes_once_more(self) -> None:
        document = self.gold()
        self.ready("q")
        first = self.page(self.alices)
        self.choose(2, page=first)
        again = self.taken_back()
        self.assertEqual(self.number(again), document.pk)
        self.assertEqual(again.urls, first.urls)
        self.assertIsNone(GoldTurn.objects.get().decision)
        self.assertEqual(self.state("g"), ("reviewed", 1))
        self.assertEqual(self.rows_of(), [])
        self.choose(1, page=again)
        self.assertEqual(self.rows_of()[0]["right"], "1.0")
        self.assertEqual(Decision.objects.filter(reviewer=self.alice).count(), 3)
        self.sound()

    def test_revoked_and_restored_with_the_rest(self) -> None:
        self.gold()
        self.ready("q")
        self.choose(1)
        self.choose(1)
        self.assertEqual(Standing.objects.filter(reviewer=self.alice).count(), 2)
        revoke.revoke(self.project, self.alice, "why")
        self.assertEqual(self.rows_of(), [])
        self.assertEqual(self.state("g"), ("reviewed", 1))
        self.assertEqual(self.state("q"), ("ready", 0))
        self.sound()
        revoke.restore(self.project, self.alice, "because")
        purposes = Standing.objects.filter(reviewer=self.alice).values_list("purpose", flat=True)
        self.assertEqual(sorted(purposes), ["gold", "review"])
        self.assertEqual(self.state("g"), ("reviewed", 1))
        self.assertEqual(self.state("q"), ("reviewed", 1))
        self.assertEqual(self.rows_of()[0]["right"], "1.0")
        self.sound()

    def test_who_is_erased_is_measured_under_another_name_and_holds_nothing(self) -> None:
        self.gold("g")
        self.gold("h")
        make_ready(self.project, 2)
        self.choose(1)
        while not GoldTurn.objects.filter(decision=None).exists():
            self.choose(1) if GoldTurn.objects.filter(decision=None).exists() else self.one_more()
        name = erase(self.alice)
        self.assertEqual(GoldTurn.objects.count(), 1)
        self.assertEqual([row["reviewer"] for row in self.rows_of()], [name])
        self.sound()

    def one_more(self) -> None:
        """Of the queue, if that is what comes next."""
        page = self.page(self.alices)
        if not GoldTurn.objects.filter(decision=None).exists():
            self.choose(page=page)

    def test_reopened_its_reviews_go_and_who_had_it_as_gold_may_review_it(self) -> None:
        document = self.gold()
        self.ready("q")
        self.choose(1)  # as gold
        self.choose(1)
        act = {"act": "reopen", "document": str(document.pk)}
        self.assertEqual(self.curator.post("/curate", act).status_code, 302)
        self.assertEqual(self.state("g"), ("ready", 0))
        self.assertEqual(GoldTurn.objects.get().decision.standing.purpose, Purpose.GOLD)  # type: ignore[union-attr]
        page = self.page(self.alices)
        self.assertEqual(self.number(page), document.pk)
        self.choose(2, page=page)
        self.assertEqual(self.state("g"), ("reviewed", 1))
        self.sound()

    def test_a_standing_that_says_gold_of_what_was_none_is_found(self) -> None:
        self.ready("q")
        self.choose(1)
        Standing.objects.update(purpose=Purpose.GOLD)
        self.assertIn("counts for what it is not", next(verify(Verified())))


class Released(Golden):
    def setUp(self) -> None:
        super().setUp()
        self.gold()
        self.ready("q")
        self.choose(3)  # as gold
        self.choose(1)

    def test_gold_is_left_out_and_counted(self) -> None:
        made = self.made()
        self.assertEqual(sorted({row["document_id"] for row in self.rows(made)}), ["g", "q"])
        self.assertEqual(sorted(self.ranks(made)), [(1, 2), (1, 3), (2, 1), (2, 3)])
        self.assertEqual({row["n_reviewers"] for row in self.rows(made)}, {1})
        self.assertEqual(made.counts["left_out"]["decisions"], {"gold": 1})
        manifest = json.loads((self.var / made.folder / "manifest.json").read_text())
        self.assertIs(manifest["filters"]["with_gold"], False)
        self.assertEqual(manifest["counts"]["left_out"]["decisions"], {"gold": 1})
        self.assertContains(self.curator.get(f"/releases/{made.number}"), "handed out as gold")

    def test_and_in_where_it_is_asked_for(self) -> None:
        made = self.made(with_gold=True, policy="all")
        self.assertEqual(len(self.ranks(made)), 6)
        self.assertEqual(made.counts["left_out"]["decisions"], {})
        agreed = {row["agreement"] for row in self.rows(made) if row["document_id"] == "g"}
        self.assertEqual(agreed, {0.5})

    def test_by_the_page_and_the_command(self) -> None:
        fields = {"formats": "trl", "policy": "all", "with_gold": "on"}
        self.assertEqual(self.curator.post("/releases/order", fields).status_code, 302)
        ordered = self.project.releases.get()
        self.assertIs(ordered.filters["with_gold"], True)
        page = self.curator.get(f"/releases/{ordered.number}")
        self.assertContains(page, "With decisions on gold documents")
        out, errors = StringIO(), StringIO()
        call_command("release", "--with-gold", "--policy", "all", stdout=out, stderr=errors)
        self.assertIn("6 pairs", errors.getvalue())


class Accuracy(Golden):
    def decided(self, ranks: Sequence[int], user: User | None = None) -> None:
        """On gold documents whose best set is the model's first, and acceptable its second."""
        user = user or self.alice
        for place, rank in enumerate(ranks):
            self.gold(f"{user}-g{place}", others={"acceptable-1": ["http", "lib"]})
            self.ready(f"{user}-q{place}")
            self.choose(rank, self.as_user(user))
            self.choose(1, self.as_user(user))

    def test_it_is_told_with_its_interval(self) -> None:
        self.decided([1, 1, 2, 3])
        (alice,) = self.rows_of()
        self.assertEqual((alice["reviewer"], alice["decisions"]), ("alice", "4"))
        self.assertEqual((alice["right"], alice["acceptable"]), ("0.5", "0.75"))
        low, high = wilson(2, 4)
        self.assertAlmostEqual(float(alice["right_low"]), low)
        self.assertAlmostEqual(float(alice["right_high"]), high)
        html = self.curator.get("/insight").content.decode()
        self.assertIn('src="/insight/gold.svg"', html)
        self.assertEqual(self.curator.get("/insight/gold.svg").status_code, 200)

    def test_curators_see_the_errors_with_links(self) -> None:
        self.decided([3])
        self.decided([3], self.member("dora", Role.REVIEWER))
        errors = self.errors()
        self.assertEqual(errors.count("<li>"), 2)
        self.assertIn("framework", errors)
        document = Document.objects.get(external_id="alice-g0")
        self.assertIn(f'href="/gold/{document.pk}"', errors)
        errors = self.errors(reviewer="alice")
        self.assertEqual(errors.count("<li>"), 1)
        self.assertIn("alice-g0", errors)
        self.assertContains(self.curator.get("/gold"), "wrong of")

    def errors(self, **query: str) -> str:
        """That part of the page."""
        html = self.curator.get("/gold", query).content.decode()
        return html[html.index('id="wrong"') : html.index('id="documents"')]

    def test_another_answer_counts_for_what_was_decided_before(self) -> None:
        self.decided([3])
        self.assertEqual(self.rows_of()[0]["right"], "0.0")
        self.mark(Document.objects.get(external_id="alice-g0"), ("framework",))
        self.assertEqual(self.rows_of()[0]["right"], "1.0")
        self.assertNotIn("<li>", self.errors())

    def test_what_is_withdrawn_measures_nobody(self) -> None:
        self.decided([3, 1])
        document = Document.objects.get(external_id="alice-g0")
        self.curator.post(f"/gold/{document.pk}/withdraw")
        self.assertEqual([row["decisions"] for row in self.rows_of()], ["1"])
        self.mark(document)
        self.assertEqual([row["decisions"] for row in self.rows_of()], ["2"])

    def test_a_merged_tag_is_what_it_became(self) -> None:
        self.decided([2])
        self.assertEqual(self.rows_of()[0]["right"], "0.0")
        cli = Tag.objects.get(project=self.project, name="cli")
        Tag.objects.filter(name="http").update(merged_into=cli)
        self.assertEqual(self.rows_of()[0]["right"], "1.0")
        self.assertEqual(self.curator.get("/gold").status_code, 200)

    def test_a_review_of_what_was_gold_before_measures_as_well(self) -> None:
        first = self.ready("first")
        self.mark(first, ("framework",))
        self.choose(3)
        self.mark(self.reviewed("later"))  # bob's review was there before the answer
        second = self.ready("second")
        self.mark(second)
        self.every(0)
        self.pick(self.carol, 3)  # who has said what is right
        (alice,) = self.rows_of()
        self.assertEqual((alice["reviewer"], alice["right"]), ("alice", "1.0"))

    def test_nobody_is_told_their_own(self) -> None:
        self.decided([3])
        for path in ("/history", "/documents/alice-g0", "/"):
            self.assertNotIn("gold", self.alices.get(path).content.decode().lower())
        self.assertEqual(self.alices.get("/insight/gold.csv").status_code, 403)


class Command(Golden):
    def told(self, *lines: object, name: str = "READMEs") -> str:
        path = Path(self.var) / "known.jsonl"
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        out = StringIO()
        call_command("gold", str(path), "--project", name, stdout=out, stderr=StringIO())
        return out.getvalue()

    def test_answers_come_from_a_file(self) -> None:
        self.reviewed("g")
        self.ready("w")
        told = self.told(
            {"external_id": "g", "best": ["LIB", "cli"], "acceptable": [["http"], [25]]},
            {"id": "w", "best": []},
        )
        self.assertIn("2 documents", told)
        known = Gold.objects.get(document__external_id="g")
        self.assertEqual((known.best, known.by), (self.numbers("lib", "cli"), None))
        self.assertEqual(known.acceptable, [self.numbers("http"), [25]])
        self.assertEqual(Gold.objects.get(document__external_id="w").best, [])
        self.assertContains(self.curator.get(f"/gold/{known.document_id}"), "a command")

    def test_what_is_wrong_is_told_and_nothing_is_kept(self) -> None:
        self.reviewed("g")
        right = {"external_id": "g", "best": ["lib"]}
        for wrong, told in (
            ({"external_id": "x", "best": ["lib"]}, "Line 2: There is no document “x”"),
            ({"external_id": "x"}, "Line 2: “best” is missing"),
            ({"external_id": "x", "best": "lib"}, "Line 2: “best” is not a list"),
            ({"external_id": "x", "best": [["lib"]]}, "Line 2: “best” has something"),
            ({"external_id": "x", "best": [], "acceptable": ["lib"]}, "list of lists"),
            ({"best": ["lib"]}, "“external_id” is missing"),
            ([1], "Line 2: This is not a JSON object"),
            (right, "was there before"),
        ):
            with self.assertRaisesMessage(CommandError, told):
                self.told(right, wrong)
        self.ready("h")
        with self.assertRaisesMessage(CommandError, "no tag “nothing”"):
            self.told(right, {"external_id": "h", "best": ["nothing"]})
        with self.assertRaisesMessage(CommandError, "no project"):
            self.told(right, name="Nothing")
        self.assertFalse(Gold.objects.exists())


class AtOnce(TransactionTestCase):
    """Several at the same document at the same moment, on a database that lets them."""

    def setUp(self) -> None:
        self.project = Project.objects.create(name="P", repeat_share=0)
        make_ready(self.project, 30)
        self.known = Document.objects.latest("pk")
        Document.objects.filter(pk=self.known.pk).update(state="reviewed", reviews=1)
        gold.mark(self.known, list(self.project.tags.all()[:1]))
        self.project.gold_every = 2
        self.project.save()
        self.people = [User.objects.create(username=f"reviewer {n}") for n in range(6)]

    def together(self, *acts: Callable[[], object]) -> list[object]:
        """What each returned, or what it raised."""
        begin = threading.Barrier(len(acts))
        found: list[object] = []

        def run(act: Callable[[], object]) -> None:
            try:
                begin.wait()
                found.append(act())
            except Exception as error:
                found.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=[act]) for act in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def handed(self, person: User) -> Document | None:
        document = queue.claim_next(self.project, person)
        return gold.instead_of(document, self.project, person)

    def page(self, person: User, document: Document) -> decide.Page:
        proposal = Proposal.objects.get(document=document, current=True)
        assert document.lease_token is not None
        return decide.Page(person, proposal, document.lease_token, uuid.uuid4())

    def test_all_of_them_decide_on_it(self) -> None:
        def act(person: User) -> Decision:
            document = self.handed(person)
            assert document == self.known
            page = self.page(person, document)
            return decide.pick(page, page.proposal.candidates.get(rank=1))

        found = self.together(*(partial(act, person) for person in self.people))
        self.assertEqual([type(one) for one in found], [Decision] * 6, found)
        self.assertEqual(Standing.objects.filter(purpose=Purpose.GOLD).count(), 6)
        self.known.refresh_from_db()
        self.assertEqual((self.known.state, self.known.reviews), ("reviewed", 1))
        self.assertEqual(len(insight.measured(self.project)), 6)

    def test_who_opens_two_pages_at_once_decides_once(self) -> None:
        person = self.people[0]
        self.together(*[partial(self.handed, person)] * 4)
        self.assertEqual(GoldTurn.objects.count(), 1)
        document = gold._handed(GoldTurn.objects.get())
        pages = [self.page(person, document) for _ in range(4)]
        candidate = pages[0].proposal.candidates.get(rank=1)
        found = self.together(*(partial(decide.pick, page, candidate) for page in pages))
        self.assertEqual(Counter(map(type, found)), {Decision: 1, Conflict: 3}, found)

    def test_two_curators_at_once_leave_one_answer(self) -> None:
        tags = list(self.project.tags.all()[:4])
        acts = [partial(gold.mark, self.known, [tag]) for tag in tags]
        found = self.together(*acts, partial(gold.withdraw, self.known))
        self.assertEqual({type(one) for one in found} - {Gold, Conflict}, set(), found)
        self.assertEqual(Gold.objects.filter(current=True).count(), 1)


class Drawing(SimpleTestCase):
    def test_a_draw_is_fair_and_always_the_same_one(self) -> None:
        alice = User(pk=1)
        for every in (2, 5, 20):
            drawn = [
                number
                for number in range(20_000)
                if gold.is_drawn(alice, Document(pk=number), every)
            ]
            share = len(drawn) / (20_000 + len(drawn))  # of all that is handed out
            self.assertAlmostEqual(share, 1 / every, delta=0.01)
            self.assertTrue(gold.is_drawn(alice, Document(pk=drawn[7]), every))

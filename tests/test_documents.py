"""The curator's documents: finding them, and changing a selection."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from review.models import (
    Candidate,
    Decision,
    DecisionTag,
    Document,
    Membership,
    Project,
    Proposal,
    Role,
    Standing,
    Tally,
)
from review.pipeline import curate, find
from review.pipeline.find import MOST
from review.pipeline.propose import propose

from .base import HouseTestCase, Page
from .world import make_ready


def rows(html: str) -> list[str]:
    """The ids in the table, in order."""
    return re.findall(r'<span class="id">([^<]*)</span>', html)


def address(html: str, rel: str) -> str:
    found = re.search(rf'<a rel="{rel}" href="([^"]+)"', html)
    return found.group(1).replace("&amp;", "&") if found else ""


class DocumentsTestCase(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.carol = self.member("carol", Role.CURATOR)
        self.client.force_login(self.carol)
        filled = mock.patch("review.views.curating.fill_queue")
        self.filled = filled.start()
        self.addCleanup(filled.stop)

    def look(self, **query: Any) -> str:
        answer = self.client.get("/documents", query)
        self.assertEqual(answer.status_code, 200)
        return answer.content.decode()

    def found(self, **query: Any) -> set[str]:
        return set(rows(self.look(**query)))

    def act(self, name: str, *documents: Document, **more: Any) -> str:
        """The page after it, which says what was done."""
        fields = {"act": name, "document": [document.pk for document in documents], **more}
        answer = self.client.post("/curate", fields, follow=True)
        self.assertEqual(answer.redirect_chain[-1][0].partition("?")[0], "/documents")
        for document in documents:
            document.refresh_from_db()
        notice = re.search(r'<p class="notice"[^>]*>(.*?)</p>', answer.content.decode())
        assert notice is not None
        return notice.group(1)

    def pick(self, reviewer: User, rank: int = 1) -> None:
        """Of the document that the queue hands to them."""
        client = Client()
        client.force_login(reviewer)
        page = self.page(client)
        shown = re.findall(r"candidates/(\d+)/choose", page.html)
        candidate = Candidate.objects.get(pk__in=shown, rank=rank)
        answer = client.post(f"/candidates/{candidate.pk}/choose", page.fields)
        self.assertEqual(answer.status_code, 302)
        client.post("/leases/release", {"lease": self.page(client).fields.get("lease", "")})

    def correct(self, reviewer: User, tags: list[str]) -> None:
        client = Client()
        client.force_login(reviewer)
        page = self.page(client)
        candidate = re.findall(r"candidates/(\d+)/choose", page.html)
        proposal = Proposal.objects.get(candidates=candidate[0])
        numbers = [self.project.tags.get(name=name).number for name in tags]
        answer = client.post(f"/proposals/{proposal.pk}/correct", {**page.fields, "tags": numbers})
        self.assertEqual(answer.status_code, 302)

    def settle(self, document: Document, tags: list[str]) -> None:
        """As a curator settles it: their own tags, which end the matter."""
        decision = Decision.objects.create(
            document=document, reviewer=self.carol, kind="settle", milliseconds=0, key=uuid.uuid4()
        )
        for position, name in enumerate(tags, start=1):
            tag = self.project.tags.get(name=name)
            DecisionTag.objects.create(decision=decision, tag=tag, position=position)
        Standing.objects.create(
            document=document, reviewer=self.carol, decision=decision, purpose="final"
        )


class Finding(DocumentsTestCase):
    def test_each_filter_finds_what_fits_it_and_nothing_else(self) -> None:
        done = self.ready("done", "A text about the quokka, an animal.")
        self.pick(self.alice)
        self.ready("open", "A text about the wombat, another animal.")
        self.document("waits", "A text about requests.readthedocs.io and 漏洞利用.")
        Document.objects.filter(external_id="open").update(pinned=True, disagreement=0.95)
        Proposal.objects.filter(document=done).update(model="tuned")
        names = [tag.name for tag in done.proposals.get().candidates.get(rank=1).tags]
        number = self.project.tags.get(name=names[0]).number
        other = self.project.tags.exclude(name__in=names).first()
        assert other is not None
        expectations: list[tuple[dict[str, Any], set[str]]] = [
            ({}, {"done", "open", "waits"}),
            ({"state": "reviewed"}, {"done"}),
            ({"state": "ready"}, {"open"}),
            ({"state": "retired"}, set()),
            ({"tag": number}, {"done"}),
            ({"tag": other.number}, set()),
            ({"reviewer": "alice"}, {"done"}),
            ({"reviewer": "bob"}, set()),
            ({"model": "tuned"}, {"done"}),
            ({"model": "fake"}, {"open"}),
            ({"disagreement": "0.93"}, {"open"}),
            ({"pinned": "on"}, {"open"}),
            ({"words": "quokka"}, {"done"}),
            ({"words": "ANIMAL wombat"}, {"open"}),
            ({"words": "animal requests"}, set()),
            ({"words": "readthedocs"}, {"waits"}),
            ({"words": "readthedocs.io"}, {"waits"}),
            ({"words": "漏洞"}, {"waits"}),
            ({"words": "洞漏"}, set()),
            ({"words": "waits"}, {"waits"}),  # in the title and the id
            ({"begins": "do"}, {"done"}),
            ({"begins": "o_"}, set()),
            ({"begins": "%"}, set()),
            ({"state": "ready", "words": "animal", "pinned": "on"}, {"open"}),
            ({"state": "ready", "tag": number}, set()),
        ]
        for query, expected in expectations:
            with self.subTest(query=query):
                self.assertEqual(self.found(**query), expected)

    def test_a_field_that_makes_no_sense_is_said_to_and_does_not_count(self) -> None:
        self.document()
        for query in [
            {"state": "asleep"},
            {"tag": "x"},
            {"reviewer": "nobody"},
            {"disagreement": "2"},
            {"words": "a\x00b"},
        ]:
            with self.subTest(query=query):
                html = self.look(**query)
                self.assertEqual(rows(html), ["5201"])
                self.assertIn('class="errorlist"', html)

    def test_a_search_follows_the_text_as_it_changes(self) -> None:
        self.document("changes", "An old word: quokka.")
        self.document("changes", "A new word: wombat.")
        self.assertEqual(self.found(words="quokka"), set())
        self.assertEqual(self.found(words="wombat"), {"changes"})
        Document.objects.filter(external_id="changes").delete()
        self.assertEqual(self.found(words="wombat"), set())

    def test_words_of_a_search_are_only_words(self) -> None:
        self.document()
        for words in ["'", '"', "a & b", ":*", "!", "( )", "<->", "\\", "%", "_", "x" * 300]:
            with self.subTest(words=words):
                self.look(words=words)

    def test_tags_follow_a_correction_an_undo_and_a_curators_word(self) -> None:
        document = self.ready()
        self.correct(self.alice, ["blog", "chat"])
        blog = self.project.tags.get(name="blog").number
        self.assertEqual(self.found(tag=blog), {"5201"})
        self.assertIn('<span class="tag">blog</span>', self.look())
        self.settle(document, ["chat"])
        self.assertEqual(self.found(tag=blog), set())
        Standing.objects.filter(purpose="final").delete()
        self.assertEqual(self.found(tag=blog), {"5201"})
        client = Client()
        client.force_login(self.alice)
        client.post("/undo", {"key": str(uuid.uuid4())})
        self.assertEqual(self.found(tag=blog), set())
        self.assertEqual(self.found(reviewer="alice"), set())
        self.assertNotIn('<span class="tag">blog</span>', self.look())

    def test_another_projects_documents_are_not_there(self) -> None:
        other = Project.objects.create(name="Another")
        make_ready(other, 3)
        self.ready()
        for query in [{}, {"state": "ready"}, {"words": "document"}, {"begins": "2"}]:
            with self.subTest(query=query):
                self.assertLessEqual(self.found(**query), {"5201"})

    def test_the_counts_are_of_every_state(self) -> None:
        self.ready()
        self.document("second")
        html = self.look(words="nothing like it")
        self.assertIn("Ready to review <b>1</b>", html)
        self.assertIn("Waiting for the model <b>1</b>", html)
        self.assertIn("All <b>2</b>", html)
        self.assertIn("No document matches.", html)


class Pages(DocumentsTestCase):
    def walk(self, **query: Any) -> list[list[str]]:
        """All pages from the first to the last, checked on the way back."""
        html = self.look(**query)
        pages = [rows(html)]
        while url := address(html, "next"):
            html = self.client.get(url).content.decode()
            pages.append(rows(html))
        for expected in pages[-2::-1]:
            html = self.client.get(address(html, "prev")).content.decode()
            self.assertEqual(rows(html), expected)
        self.assertEqual(address(html, "prev"), "")
        return pages

    def test_pages_hold_fifty_and_every_document_once(self) -> None:
        make_ready(self.project, 120)
        newest = [str(number) for number in reversed(range(120))]
        self.assertEqual(self.walk(), [newest[:50], newest[50:100], newest[100:]])
        oldest = newest[::-1]
        expected = [oldest[:50], oldest[50:100], oldest[100:]]
        self.assertEqual(self.walk(oldest_first="on"), expected)

    def test_more_than_a_thousand_are_read_in_order_too(self) -> None:
        make_ready(self.project, MOST + 60)
        html = self.look(state="ready")
        self.assertIn("More than 1,000 documents match", html)
        self.assertNotIn("that match</label>", html)
        pages = self.walk(state="ready")
        everything = [name for page in pages for name in page]
        self.assertEqual(everything, [str(number) for number in reversed(range(MOST + 60))])
        self.assertEqual(len(self.walk(words="document", oldest_first="on")), 22)
        self.assertEqual(self.walk(model="none"), pages)
        with mock.patch.object(find, "NEAR", 5):  # as if they were far from each page's place
            self.assertEqual(self.walk(words="document"), pages)
            self.assertEqual(self.walk(words="document", state="ready"), pages)

    def test_a_cursor_that_makes_no_sense_is_the_first_page(self) -> None:
        make_ready(self.project, 60)
        first = rows(self.look())
        for value in ["x", "", "-1", "9" * 30, "1; DROP TABLE"]:
            with self.subTest(value=value):
                self.assertEqual(rows(self.look(after=value)), first)
                self.assertEqual(rows(self.look(before=value))[:10], first[:10])

    def test_a_full_page_costs_no_more_queries_than_a_short_one(self) -> None:
        self.ready()
        self.pick(self.alice)
        with CaptureQueriesContext(connection) as few:
            self.look()
        for number in range(20):
            self.ready(str(number))
            self.pick(self.alice)
        with CaptureQueriesContext(connection) as many:
            self.look()
        self.assertEqual(len(many), len(few))
        self.assertFalse([q["sql"] for q in many if "OFFSET" in q["sql"]])


class Acting(DocumentsTestCase):
    def test_pin_and_unpin(self) -> None:
        document = self.ready()
        self.assertEqual(self.act("pin", document), "Pin: 1 document changed.")
        self.assertTrue(document.pinned)
        told = self.act("pin", document)
        self.assertEqual(told, "Pin: 0 documents changed. Left as they were: 1 so already.")
        self.act("unpin", document)
        self.assertFalse(document.pinned)

    def test_a_retired_document_is_handed_out_to_nobody_until_it_is_restored(self) -> None:
        document = self.ready()
        self.act("retire", document)
        self.assertEqual(document.state, "retired")
        client = Client()
        client.force_login(self.alice)
        self.assertEqual(self.page(client).urls, [])
        self.assertEqual(Tally.objects.of(self.project)["retired"], 1)
        self.act("restore", document)
        self.assertEqual(document.state, "ready")
        self.assertEqual(len(self.page(client).urls), 3)

    def test_restoring_puts_each_back_to_where_it_was(self) -> None:
        reviewed = self.ready("reviewed")
        self.pick(self.alice)
        waiting = self.document("waiting")
        failed = self.document("failed", " ")
        disputed = self.disputed()
        told = self.act("retire", reviewed, waiting, failed, disputed)
        self.assertEqual(told, "Retire: 4 documents changed.")
        self.act("restore", reviewed, waiting, failed, disputed)
        states = [document.state for document in (reviewed, waiting, failed, disputed)]
        self.assertEqual(states, ["reviewed", "waiting", "failed", "disputed"])
        self.assertEqual(reviewed.reviews, 1)
        self.assertTrue(self.filled.called)

    def disputed(self) -> Document:
        """Two reviewers chose two sets of it."""
        document = self.ready("disputed")
        Project.objects.update(reviews_needed=2)
        self.pick(self.alice, rank=1)
        self.pick(self.bob, rank=2)
        Project.objects.update(reviews_needed=1)
        document.refresh_from_db()
        return document

    def test_reopening_takes_the_reviews_back_and_deletes_no_decision(self) -> None:
        document = self.ready()
        self.pick(self.alice)
        self.settle(document, ["blog"])
        decisions = set(Decision.objects.values_list("pk", flat=True))
        self.assertEqual(self.act("reopen", document), "Reopen: 1 document changed.")
        self.assertEqual((document.state, document.reviews), ("ready", 0))
        self.assertFalse(Standing.objects.exists())
        undone = Decision.objects.filter(kind="undo", reviewer=self.carol)
        self.assertEqual(set(undone.values_list("undoes", flat=True)), decisions)
        client = Client()
        client.force_login(self.alice)
        self.assertEqual(len(self.page(client).urls), 3)  # also to who decided on it before
        told = self.act("reopen", document)
        self.assertIn("1 in use just now", told)

    def test_a_dispute_and_a_failure_with_candidates_are_reopened_others_not(self) -> None:
        disputed = self.disputed()
        failed, fresh = self.ready("failed"), self.document("fresh", " ")
        Document.objects.filter(pk=failed.pk).update(state="failed", reason="It was tried.")
        told = self.act("reopen", disputed, failed, fresh)
        self.assertIn("2 documents changed. Left as they were: 1 in a state", told)
        self.assertEqual((disputed.state, disputed.reviews), ("ready", 0))
        self.assertEqual((failed.state, failed.reason), ("ready", ""))
        self.assertEqual(fresh.state, "failed")
        self.assertEqual(Decision.objects.filter(kind="undo").count(), 2)

    def test_the_model_is_asked_again_about_the_failed_and_the_ready(self) -> None:
        ready, failed = self.ready("ready"), self.document("failed")
        Document.objects.filter(pk=failed.pk).update(state="failed", attempts=3, troubles=2)
        empty = self.document("empty", " ")
        told = self.act("ask", ready, failed, empty)
        self.assertIn("2 documents changed.", told)
        self.assertIn("1 without a text that the model can read", told)
        self.assertEqual((ready.state, failed.state, empty.state), ("waiting", "waiting", "failed"))
        self.assertEqual((failed.attempts, failed.troubles), (0, 0))
        self.filled.assert_called_once()
        propose(ready.pk)
        self.assertEqual(ready.proposals.count(), 2)
        self.assertEqual(ready.proposals.filter(current=True).count(), 1)

    def test_what_has_reviews_is_reopened_before_the_model_is_asked_again(self) -> None:
        self.project.reviews_needed = 2
        self.project.save()
        document = self.ready()
        self.pick(self.alice)
        told = self.act("ask", document)
        self.assertIn("0 documents changed. Left as they were: 1 with reviews: reopen", told)
        self.assertEqual(document.state, "ready")
        self.filled.assert_not_called()

    def test_what_somebody_holds_is_left_alone(self) -> None:
        held, read = self.ready("held"), self.document("read")
        client = Client()
        client.force_login(self.alice)
        page = self.page(client)
        Document.objects.filter(pk=read.pk).update(
            state="proposing",
            lease_token=uuid.uuid4(),
            lease_expires_at=timezone.now() + timedelta(minutes=1),
        )
        for name in ("ask", "reopen", "retire"):
            with self.subTest(name=name):
                told = self.act(name, held, read)
                self.assertIn("0 documents changed. Left as they were: 2 in use", told)
        self.assertEqual((held.state, read.state), ("ready", "proposing"))
        self.assertIn("2 documents changed.", self.act("pin", held, read))
        self.assertEqual(client.post(page.urls[0], page.fields).status_code, 302)
        held.refresh_from_db()
        self.assertEqual(held.state, "reviewed")

    def test_a_lease_that_has_run_out_holds_nothing(self) -> None:
        document = self.ready()
        client = Client()
        client.force_login(self.alice)
        page = self.page(client)
        Document.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        self.act("retire", document)
        self.assertEqual((document.state, document.lease_token), ("retired", None))
        self.assertEqual(client.post(page.urls[0], page.fields).status_code, 409)
        self.assertFalse(Decision.objects.exists())

    def meanwhile(self, happens: Callable[[], object]) -> mock._patch[Any]:
        """Lets something happen after a verb has looked, and before it changes anything."""
        look = curate._choose

        def choose(*arguments: Any) -> Any:
            found = look(*arguments)
            happens()
            return found

        return mock.patch.object(curate, "_choose", choose)

    def test_a_pick_at_the_same_moment_is_not_lost(self) -> None:
        document = self.ready()
        client = Client()
        client.force_login(self.alice)
        page = self.page(client)
        Document.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        with self.meanwhile(lambda: client.post(page.urls[0], page.fields)):
            told = self.act("ask", document)
        self.assertIn("0 documents changed. Left as they were: 1 in use", told)
        self.assertEqual((document.state, document.reviews), ("reviewed", 1))

    def test_a_reviewer_who_takes_it_at_the_same_moment_keeps_it(self) -> None:
        document = self.ready()
        client = Client()
        client.force_login(self.alice)
        with self.meanwhile(lambda: client.get("/")):
            told = self.act("retire", document)
        self.assertIn("0 documents changed. Left as they were: 1 in use", told)
        self.assertEqual((document.state, document.lease_holder), ("ready", self.alice))

    def test_all_on_the_page_and_all_that_match(self) -> None:
        make_ready(self.project, 60)
        html = self.look(state="ready")
        shown = re.findall(r'name="shown" value="(\d+)"', html)
        self.assertEqual(len(shown), 50)
        self.assertIn("All 50 on this page", html)
        self.assertIn("All 60 that match", html)
        told = self.act("pin", shown=shown, page="1", here="state=ready")
        self.assertEqual(told, "Pin: 50 documents changed.")
        told = self.act("pin", all="60", here="state=ready")
        self.assertEqual(told, "Pin: 10 documents changed. Left as they were: 50 so already.")

    def test_all_that_match_are_not_others_than_the_page_said(self) -> None:
        make_ready(self.project, 60)
        told = self.act("retire", all="59", here="state=ready")
        self.assertIn("Other documents match by now.", told)
        self.assertFalse(Document.objects.filter(state="retired").exists())

    def test_an_act_comes_back_to_the_same_page(self) -> None:
        document = self.ready()
        fields = {"act": "pin", "document": document.pk, "here": "state=ready&after=7"}
        answer = self.client.post("/curate", fields)
        self.assertRedirects(answer, "/documents?state=ready&after=7")
        fields["here"] = "//evil.example/"
        url = self.client.post("/curate", fields).headers["Location"]
        self.assertTrue(url.startswith("/documents?"), url)

    def test_nothing_chosen_changes_nothing(self) -> None:
        document = self.ready()
        self.assertIn("Tick some documents first.", self.act("retire"))
        self.assertIn("Choose what to do", self.act("explode", document))
        self.assertIn("Choose what to do", self.act("", document))
        self.assertEqual(document.state, "ready")

    def test_another_projects_document_is_not_touched(self) -> None:
        other = Project.objects.create(name="Another")
        make_ready(other, 1)
        theirs = other.documents.get()
        self.assertIn("0 documents changed.", self.act("retire", theirs))
        self.assertEqual(theirs.state, "ready")

    def test_a_reviewer_may_neither_look_nor_act(self) -> None:
        document = self.ready()
        self.client.force_login(self.alice)
        self.assertEqual(self.client.get("/documents").status_code, 403)
        fields = {"act": "retire", "document": document.pk}
        self.assertEqual(self.client.post("/curate", fields).status_code, 403)
        document.refresh_from_db()
        self.assertEqual(document.state, "ready")


@pytest.mark.django_db(transaction=True)
def test_reopening_leaves_a_document_that_is_being_undone_to_the_undo() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("On SQLite only one writes at a time.")
    project = Project.objects.create(name="Both at once")
    make_ready(project, 1)
    alice, carol = (User.objects.create_user(name) for name in ("alice", "carol"))
    Membership.objects.create(project=project, user=alice)
    Membership.objects.create(project=project, user=carol, role=Role.CURATOR)
    client = Client()
    client.force_login(alice)
    page = Page(client.get("/").content.decode())
    client.post(page.urls[0], page.fields)
    document = project.documents.get(state="reviewed")
    halfway, go_on = threading.Event(), threading.Event()
    failures: list[Exception] = []

    def undo() -> None:
        """As decide.undo does it: first what stands, then the document."""
        try:
            with transaction.atomic():
                Standing.objects.filter(document=document).delete()
                halfway.set()
                go_on.wait(3)
                Document.objects.filter(pk=document.pk).update(reviews=0, state="ready")
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=undo)
    thread.start()
    assert halfway.wait(10)
    client.force_login(carol)
    answer = client.post("/curate", {"act": "reopen", "document": document.pk}, follow=True)
    go_on.set()
    thread.join()
    assert failures == []
    assert "1 in use just now" in answer.content.decode()
    document.refresh_from_db()
    assert (document.state, document.reviews) == ("ready", 0)
    assert not Decision.objects.filter(reviewer=carol).exists()

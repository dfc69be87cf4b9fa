"""The reviewer's turn, through the pages."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from review.models import CandidateTag, Decision, Document, DocumentState, Role, Tag

from .base import HouseTestCase, Page
from .fake_model import Reply, tags


class Picking(HouseTestCase):
    def test_signed_out_visitors_get_the_sign_in_page(self) -> None:
        self.ready()
        visitor = Client()
        self.assertRedirects(visitor.get("/"), "/sign-in/?next=/")
        self.assertContains(visitor.get("/sign-in/"), 'name="password"')
        self.assertEqual(visitor.post("/candidates/1/choose").status_code, 302)
        self.assertEqual(visitor.get("/documents/5201.json").status_code, 401)

    def test_someone_without_a_project_is_told_so(self) -> None:
        self.alice.memberships.all().delete()
        self.assertEqual(self.client.get("/").status_code, 403)

    def test_the_page_shows_the_document_beside_three_candidates(self) -> None:
        self.ready()
        page = self.page()
        self.assertIn("<strong>HTTP</strong>", page.html)
        self.assertEqual(len(page.urls), 3)
        self.assertNotIn("fake", page.html)  # which model it was stays hidden

    def test_a_pick_is_saved_and_the_next_document_comes(self) -> None:
        first, second = self.ready("1"), self.ready("2")
        page = self.page()
        answer = self.client.post(page.urls[1], page.fields, follow=True)
        self.assertContains(answer, "Document 2")
        decision = Decision.objects.get()
        self.assertEqual(decision.document, first)
        self.assertEqual(decision.reviewer, self.alice)
        self.assertEqual(page.urls[1], f"/candidates/{decision.candidate_id}/choose")
        self.assertEqual(sorted(decision.shown), [1, 2, 3])
        assert decision.candidate
        self.assertEqual(decision.shown[1], decision.candidate.rank)
        first.refresh_from_db()
        self.assertEqual(first.state, DocumentState.REVIEWED)
        second.refresh_from_db()
        self.assertEqual(second.lease_holder, self.alice)

    def test_htmx_gets_the_next_document_alone(self) -> None:
        self.ready("1")
        self.ready("2")
        page = self.page()
        answer = self.client.post(page.urls[0], page.fields, headers={"HX-Request": "true"})
        self.assertContains(answer, "Document 2")
        self.assertNotContains(answer, "<html")

    def test_the_order_is_shuffled_by_reviewer_and_stays_on_reload(self) -> None:
        orders = set()
        for number in range(12):
            proposal = self.ready(str(number)).proposals.get()
            mine = proposal.order_for(self.alice.pk)
            self.assertEqual(mine, proposal.order_for(self.alice.pk))
            orders.add(tuple(mine))
        self.assertGreater(len(orders), 2)

    def test_a_double_press_is_one_decision(self) -> None:
        self.ready()
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        again = self.client.post(page.urls[0], page.fields)
        self.assertEqual(again.status_code, 302)
        self.assertEqual(Decision.objects.count(), 1)

    def test_two_different_picks_from_one_page_are_one_decision(self) -> None:
        self.ready()
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        self.assertEqual(self.client.post(page.urls[1], page.fields).status_code, 409)
        self.assertEqual(Decision.objects.count(), 1)

    def test_picking_twice_from_two_tabs_is_a_conflict(self) -> None:
        self.ready()
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        answer = self.client.post(page.urls[1], page.with_new_key())
        self.assertContains(answer, "already decided", status_code=409)
        self.assertEqual(Decision.objects.count(), 1)

    def test_a_document_that_someone_else_finished_is_a_conflict(self) -> None:
        document = self.ready()
        mine = self.page()
        self.expire(document)
        bobs = Client()
        bobs.force_login(self.bob)
        theirs = self.page(bobs)
        bobs.post(theirs.urls[0], theirs.fields)
        answer = self.client.post(mine.urls[0], mine.fields)
        self.assertContains(answer, "finished by someone else", status_code=409)
        self.assertEqual(Decision.objects.get().reviewer, self.bob)

    def test_a_late_pick_counts_while_nobody_else_has_the_document(self) -> None:
        document = self.ready()
        page = self.page()
        self.expire(document)
        self.client.post(page.urls[0], page.fields)
        self.assertEqual(Decision.objects.count(), 1)

    def test_a_candidate_of_another_document_is_a_conflict(self) -> None:
        self.ready("1")
        other = self.ready("2").proposals.get().candidates.get(rank=1)
        page = self.page()
        answer = self.client.post(f"/candidates/{other.pk}/choose", page.fields)
        self.assertEqual(answer.status_code, 409)
        self.assertEqual(Decision.objects.count(), 0)

    def test_a_candidate_that_is_not_there_or_not_mine_is_404(self) -> None:
        document = self.ready()
        candidate = document.proposals.get().candidates.get(rank=1)
        page = self.page()
        self.assertEqual(
            self.client.post("/candidates/999999/choose", page.fields).status_code, 404
        )
        self.alice.memberships.all().delete()
        answer = self.client.post(f"/candidates/{candidate.pk}/choose", page.fields)
        self.assertEqual(answer.status_code, 404)
        self.assertEqual(Decision.objects.count(), 0)

    def test_a_pick_without_a_lease_is_a_conflict(self) -> None:
        self.ready()
        page = self.page()
        for fields in ({}, {"lease": "nonsense", "key": "nonsense"}, {"key": str(uuid.uuid4())}):
            self.assertEqual(self.client.post(page.urls[0], fields).status_code, 409)
        self.assertEqual(Decision.objects.count(), 0)

    def test_a_pick_needs_a_post_and_a_csrf_token(self) -> None:
        self.ready()
        page = self.page()
        self.assertEqual(self.client.get(page.urls[0]).status_code, 405)
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(self.alice)
        self.assertEqual(strict.post(page.urls[0], page.fields).status_code, 403)

    def test_two_reviewers_are_handed_two_documents(self) -> None:
        self.ready("1")
        self.ready("2")
        bobs = Client()
        bobs.force_login(self.bob)
        self.assertIn("Document 1", self.page().html)
        self.assertIn("Document 2", self.page(bobs).html)
        self.assertIn("Document 1", self.page().html)  # a reload leases nothing new

    def test_with_two_reviews_needed_two_people_decide_and_never_three(self) -> None:
        self.project.reviews_needed = 2
        self.project.save()
        document = self.ready()
        for name in ("alice", "bob", "carol"):
            user = self.member(name, Role.REVIEWER) if name == "carol" else getattr(self, name)
            client = Client()
            client.force_login(user)
            page = self.page(client)
            for url in page.urls[:1]:
                client.post(url, page.fields)
        document.refresh_from_db()
        self.assertEqual(document.reviews, 2)
        self.assertIn(document.state, [DocumentState.REVIEWED, DocumentState.DISPUTED])
        self.assertEqual(Decision.objects.count(), 2)

    def test_an_empty_queue_says_why(self) -> None:
        self.assertEqual(self.client.get("/").status_code, 200)
        self.document("1")
        self.assertEqual(self.page().urls, [])
        self.ready("2")
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        self.assertEqual(self.page().urls, [])

    def expire(self, document: Document) -> None:
        Document.objects.filter(pk=document.pk).update(
            lease_expires_at=timezone.now() - timedelta(seconds=1)
        )


class Rendering(HouseTestCase):
    def test_a_hostile_document_shows_as_harmless_text(self) -> None:
        hostile = (
            "# Hi\n\n<script>alert(1)</script> <img src=x onerror=alert(1)> "
            '<a href="javascript:alert(1)">x</a> [y](javascript:alert(1)) '
            '<div class="notice" style="position:fixed" hx-get="/">z</div>\n\n'
            "![pixel](https://tracker.example/p.png)\n\n<style>body{display:none}</style>"
            '<form action="/"><input name=key></form><iframe src="//evil"></iframe>'
        )
        self.ready(text=hostile)
        html = self.page().html
        article = html[html.index("Hi</h2>") :][:1500]
        article = article[: article.index("</article>")] if "</article>" in article else article
        for bad in ("<script", "onerror", '="javascript:', "style=", "hx-get", "<img", "<iframe"):
            self.assertNotIn(bad, article)
        self.assertIn('<a class="remote-image" href="https://tracker.example/p.png"', article)

    def test_a_title_and_a_tag_name_are_escaped(self) -> None:
        Tag.objects.filter(project=self.project, name="lib").update(name="<b>lib</b>")
        self.model.say(Reply([tags("<b>lib</b>"), tags("cli"), tags("http")]))
        document = self.ready()
        Document.objects.filter(pk=document.pk).update(title="<script>alert(1)</script>")
        html = self.page().html
        self.assertNotIn("<script>alert", html)
        self.assertNotIn("<b>lib", html)

    def test_code_is_coloured_and_a_readme_table_is_a_table(self) -> None:
        self.ready(text="```python\nimport this\n```\n\n|a|b|\n|-|-|\n|1|2|\n")
        html = self.page().html
        self.assertIn('<span class="kn">import</span>', html)
        self.assertIn("<td>1</td>", html)

    def test_headings_stand_below_the_pages_own_and_skip_no_level(self) -> None:
        self.ready(text="# One\n\n#### Four\n\n<h1 align=center>Html</h1>\n\n|a|\n|-:|\n|1|")
        html = re.sub(r' data-\w+="\d+"', "", self.page().html)
        for tag in ('<h2 class="h1">One</h2>', '<h3 class="h4">Four</h3>', '<h2 class="h1">Html'):
            self.assertIn(tag, html)
        self.assertIn('<td align="right">1</td>', html)

    def test_a_policy_allows_scripts_and_styles_from_here_alone(self) -> None:
        policy = self.client.get("/")["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)


class TheDatabaseItself(HouseTestCase):
    def test_it_refuses_a_fourth_tag_and_a_repeated_one(self) -> None:
        candidate = self.ready().proposals.get().candidates.get(rank=1)
        tag = Tag.objects.get(project=self.project, name="ai")
        for position in (4, 0):
            with self.assertRaises(IntegrityError), transaction.atomic():
                CandidateTag.objects.create(candidate=candidate, tag=tag, position=position)
        with self.assertRaises(IntegrityError), transaction.atomic():
            CandidateTag.objects.create(candidate=candidate, tag=candidate.tags[0], position=3)

    def test_it_refuses_two_tags_of_one_name_but_for_case_and_untrimmed_ones(self) -> None:
        for name in ("AI", " game", ""):
            with self.assertRaises(IntegrityError), transaction.atomic():
                Tag.objects.create(project=self.project, number=1000, name=name)


class Looking(HouseTestCase):
    def test_the_seeds_answer(self) -> None:
        self.ready("5201")
        answer = self.client.get("/documents/5201.json").json()
        self.assertEqual(answer, {"id": "5201", "tags": []})
        page = self.page()
        self.client.post(page.urls[0], page.fields)
        candidate = Decision.objects.get().candidate
        assert candidate
        expected = [{"id": tag.number, "name": tag.name} for tag in candidate.tags]
        answer = self.client.get("/documents/5201.json").json()
        self.assertEqual(answer, {"id": "5201", "tags": expected})

    def test_an_id_may_be_any_string(self) -> None:
        self.ready("docs/ein Ordner/лес?.md")
        url = "/documents/docs/ein%20Ordner/%D0%BB%D0%B5%D1%81%3F.md"
        self.assertContains(self.client.get(url), "Document docs")
        self.assertEqual(self.client.get(url + ".json").status_code, 200)

    def test_a_document_says_which_was_there_with_its_text(self) -> None:
        self.ready("a folder/first")
        self.ready("copy")
        link = (
            'The same text as <a href="/documents/a%20folder/first" dir="auto">a folder/first</a>'
        )
        self.assertContains(self.client.get("/documents/copy"), link)
        self.assertNotContains(self.client.get("/documents/a folder/first"), "The same text as")

    def test_a_failed_document_says_why(self) -> None:
        self.document("empty", text="  \n")
        self.assertContains(self.client.get("/documents/empty"), "The document is empty.")


def test_the_page_helper_reads_the_forms() -> None:
    """A test of the tests: without forms the others would pass by doing nothing."""
    assert Page('<form action="/candidates/7/choose">').urls == ["/candidates/7/choose"]

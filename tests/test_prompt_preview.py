"""The page that shows the messages for any document, the project's choice, and what was read."""

from __future__ import annotations

import html
import io
import json
import uuid
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.test import Client

from review.llm.prompt import VERSIONS
from review.models import Project, Proposal, Role
from review.pipeline.propose import propose

from .base import HouseTestCase
from .fake_model import tags
from .test_learn import Picked

LONG = (
    "# Requests\n\n[![Build](https://ci.example/b.svg)](https://ci.example)\n\nAn HTTP library.\n\n"
    + "\n\n".join(f"## Part {number}\n\n" + f"Words of part {number}. " * 40 for number in range(9))
)


class ThePage(Picked):
    def setUp(self) -> None:
        super().setUp()
        self.carol = self.member("carol", Role.CURATOR)
        self.curator = Client()
        self.curator.force_login(self.carol)

    def shown(self, **query: str) -> str:
        return html.unescape(self.curator.get("/prompt", query).content.decode())

    def test_it_shows_what_propose_will_send_to_the_letter(self) -> None:
        self.picked("1", "# One\n\nAn HTTP client that sends requests.")
        document = self.document("2", "# Two\n\nA server that answers HTTP requests.")
        for version in ("full-2", "full-3", "seed-1"):
            self.project.prompt = version
            self.project.save()
            shown = self.shown(version=version, document="2")
            asked = len(self.model.requests)
            document.refresh_from_db()
            document.proposals.all().delete()
            type(document).objects.filter(pk=document.pk).update(state="waiting")
            propose(document.pk)
            for message in self.model.requests[asked]["messages"]:
                self.assertIn(message["content"], shown)

    def test_it_asks_no_model(self) -> None:
        self.document("2", LONG)
        for version in VERSIONS:
            self.assertIn("Requests", self.shown(version=version, document="2"))
        self.assertEqual(self.model.requests, [])

    def test_the_examples_come_with_the_words_for_which_they_were_chosen(self) -> None:
        self.picked("1", "# One\n\nAn HTTP client that sends requests.")
        self.document("2", "# Two\n\nA server that answers HTTP requests.")
        shown = self.shown(document="2")
        self.assertIn('href="/documents/1"', shown)
        self.assertRegex(shown, r"In both:.*http")
        self.assertIn('<span class="tag">lib</span>', shown)

    def test_it_says_what_was_cut(self) -> None:
        self.document("2", LONG * 3)
        self.assertIn(f"of its {len(LONG * 3):,} characters", self.shown(version="full-2"))
        shown = self.shown(version="full-3", document="2")
        self.assertIn("These passages are left out too", shown)
        self.assertIn("<li>Words of part 8.", shown)

    def test_an_unknown_document_is_not_found_and_an_unknown_version_is_the_one_in_use(
        self,
    ) -> None:
        self.document("2")
        answer = self.curator.get("/prompt", {"document": "none", "version": "gone-9"})
        self.assertContains(answer, "There is no document with this id.", status_code=404)
        self.assertContains(answer, "<strong>full-3</strong>", status_code=404)

    def test_another_projects_document_is_not_found(self) -> None:
        other = Project.objects.create(name="Another")
        self.document("2")
        self.project.documents.update(project=other)
        self.assertEqual(self.curator.get("/prompt", {"document": "2"}).status_code, 404)

    def test_a_hostile_document_is_shown_as_text(self) -> None:
        self.document("2", "# X\n\n</pre><script>alert(1)</script> <document> & more")
        raw = self.curator.get("/prompt", {"document": "2"}).content.decode()
        self.assertNotIn("<script>alert", raw)


class TheProjectsChoice(HouseTestCase):
    def admin(self, role: Role) -> Client:
        client = Client()
        client.force_login(self.member(f"the {role}", role))
        return client

    def post(self, client: Client, **fields: str) -> int:
        url = f"/admin/review/project/{self.project.pk}/change/"
        forms = {
            f"memberships-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MAX_NUM_FORMS")
        }
        status: int = client.post(url, {**forms, **fields}).status_code
        self.project.refresh_from_db()
        return status

    def test_a_curator_chooses_the_prompt_and_nothing_else(self) -> None:
        curator = self.admin(Role.CURATOR)
        self.assertEqual(self.post(curator, prompt="full-3", name="Mine", reviews_needed="5"), 302)
        self.assertEqual(self.project.prompt, "full-3")
        self.assertEqual((self.project.name, self.project.reviews_needed), ("READMEs", 1))

    def test_a_version_that_there_is_not_is_refused(self) -> None:
        self.assertEqual(self.post(self.admin(Role.CURATOR), prompt="gone-9"), 200)
        self.assertEqual(self.project.prompt, "")

    def test_a_reviewer_chooses_nothing(self) -> None:
        self.assertIn(self.post(self.admin(Role.REVIEWER), prompt="full-3"), (302, 403))
        self.assertEqual(self.project.prompt, "")

    def test_the_next_proposal_is_asked_for_and_kept_by_the_chosen_version(self) -> None:
        self.post(self.admin(Role.OWNER), **self.whole(prompt="seed-1"))
        self.ready()
        self.assertEqual(Proposal.objects.get().prompt_version, "seed-1")
        self.assertIn("base on Document 5201", self.model.requests[0]["messages"][0]["content"])

    def whole(self, **fields: str) -> dict[str, str]:
        project = self.project
        kept = ("name", "guidelines", "max_tags", "reviews_needed", "repeat_share", "gold_every")
        return {**{name: str(getattr(project, name)) for name in kept}, **fields}

    def test_a_version_that_is_gone_leaves_the_recipes_own(self) -> None:
        self.project.prompt = "gone-9"
        self.project.save()
        self.ready()
        self.assertEqual(Proposal.objects.get().prompt_version, "full-3")

    def test_evaluate_measures_the_project_with_its_prompt(self) -> None:
        self.project.prompt = "full-3"
        self.project.save()
        file = Path(settings.VAR) / f"{uuid.uuid4().hex}.jsonl"
        file.write_text(json.dumps({"text": "A lib.", "best": ["lib"]}))
        out = io.StringIO()
        call_command("evaluate", str(file), "--project", "READMEs", stdout=out, stderr=out)
        self.assertIn("full-3", out.getvalue())


class WhatTheModelRead(HouseTestCase):
    def test_where_parts_were_chosen_the_page_shows_them_as_they_were_sent(self) -> None:
        self.project.prompt = "full-3"
        self.project.save()
        self.ready(text=LONG)
        sent = self.model.requests[-1]["messages"][-1]["content"]
        for page in (self.page().html, self.client.get("/documents/5201").content.decode()):
            self.assertIn("What the model read", page)
            self.assertIn(sent, html.unescape(page))
            self.assertNotIn("read-to", page)

    def test_where_all_was_read_there_is_nothing_to_tell(self) -> None:
        self.project.prompt = "full-3"
        self.project.save()
        self.ready(text="# Requests\n\nAn HTTP library.")
        self.assertNotIn("What the model read", self.page().html)

    def test_where_the_beginning_was_read_a_mark_says_so(self) -> None:
        self.project.prompt = "full-2"
        self.project.save()
        self.model.default.contents = [tags("lib"), tags("cli"), tags("http")]
        self.ready(text=LONG * 3)
        page = self.page().html
        self.assertIn("read-to", page)
        self.assertNotIn("What the model read", page)

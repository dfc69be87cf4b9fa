"""The tag list in the hands of a curator: every verb is previewed, done, kept, and taken back."""

from __future__ import annotations

import datetime
import json
import re
import uuid
from io import StringIO

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from review.models import (
    Decision,
    Document,
    DocumentState,
    Note,
    Proposal,
    Role,
    Tag,
    TagUse,
    VocabularyChange,
    VocabularyVersion,
)
from review.pipeline import suggest, tag_use
from review.pipeline.find import Wanted, find
from review.pipeline.tags_out import final_tags
from review.pipeline.versions import differences
from review.tasks import sweep_up

from .base import HouseTestCase, Page
from .fake_model import Reply
from .fake_model import tags as reply
from .tampering import tampering


class Curating(HouseTestCase):
    carol: User

    def setUp(self) -> None:
        super().setUp()
        self.carol = self.member("carol", Role.CURATOR)
        self.curator = Client()
        self.curator.force_login(self.carol)

    def tag(self, name: str) -> Tag:
        return self.project.tags.get(name=name)

    def act(self, verb: str, *names: str, **fields: str) -> str:
        """The act's page, and what it shows: the preview, unless it is confirmed."""
        ticked = "&".join(f"tag={self.tag(name).pk}" for name in names)
        answer = self.curator.post(f"/admin/review/tag/act/{verb}/?{ticked}", fields, follow=True)
        self.assertEqual(answer.status_code, 200)
        return answer.content.decode()

    def do(self, verb: str, *names: str, **fields: str) -> str:
        """The same, looked at and confirmed."""
        return self.act(verb, *names, **fields, **self.confirmed())

    def confirmed(self) -> dict[str, str]:
        last = self.project.changes.order_by("-pk").first()
        return {"confirm": "1", "seen": str(last.pk if last else 0)}

    def edit(self, which: str, /, **fields: str) -> str:
        """The tag's own form with these fields, confirmed if they say so."""
        tag = self.tag(which)
        whole = {"name": tag.name, "description": tag.description, "not_for": tag.not_for}
        whole |= {"synonyms": "\n".join(tag.synonyms), "parent": ""}
        url = f"/admin/review/tag/{tag.pk}/change/"
        return self.curator.post(url, whole | fields, follow=True).content.decode()

    def pick(self, *names: str) -> Document:
        """Alice picks the set with these names."""
        page = self.page()
        for url in page.urls:
            if set(self.shown(page, url)) == set(names):
                self.client.post(url, page.fields)
                return Decision.objects.latest("pk").document
        raise AssertionError(f"{names} is not on the page")

    def finals(self, document: Document) -> list[str]:
        document.refresh_from_db()
        return [tag.name for tag in final_tags(document)]

    def grow_old(self) -> None:
        before = timezone.now() - datetime.timedelta(minutes=5)
        Proposal.objects.update(created_at=before)
        with tampering():
            Decision.objects.update(created_at=before)

    def shown(self, page: Page, url: str) -> list[str]:
        """The names of the tags of one set."""
        form = page.html.split(f'action="{url}"')[1].split("</form>")[0]
        return re.findall(r'class="tag[^>]*>([^<]+)<', form)


class APreview(Curating):
    def test_says_what_is_touched_and_changes_nothing(self) -> None:
        first = self.ready("5201")
        self.pick("lib", "cli")
        second = self.ready("5202")
        html = self.act("retire", "cli")
        self.assertIn("Nothing is saved yet", html)
        counts = [int(n) for n in re.findall(r"<dd><b>(\d+)", html)]
        # One document with the tag, one to review, one decision, and its pairs with the tag.
        self.assertEqual(counts, [1, 1, 1, 2])
        self.assertIn(str(first), html)
        self.assertIn(str(second), html)
        self.assertIsNone(self.tag("cli").retired_at)
        self.assertFalse(VocabularyChange.objects.exists())

    def test_estimates_the_tokens_of_asking_again(self) -> None:
        for number in range(3):
            self.ready(str(number))
        Proposal.objects.update(tokens_in=1000, tokens_out=50)
        self.assertIn("about 3,150 tokens", self.act("retire", "cli"))

    def test_that_is_out_of_date_is_shown_again(self) -> None:
        stale = self.confirmed()
        self.do("retire", "blog")
        html = self.act("retire", "cli", **stale)
        self.assertIn("Somebody changed the list meanwhile", html)
        self.assertIsNone(self.tag("cli").retired_at)
        self.do("retire", "cli")
        self.assertIsNotNone(self.tag("cli").retired_at)

    def test_asks_again_only_about_what_it_touched_and_only_if_that_is_ticked(self) -> None:
        touched = self.ready("touched")
        self.model.default = Reply([reply("blog"), reply("chat"), reply("blog", "chat")])
        untouched = self.ready("untouched")
        self.do("retire", "cli")
        self.assertFalse(Document.objects.filter(state=DocumentState.WAITING).exists())
        self.do("restore", "cli")
        html = self.do("retire", "cli", ask="1")
        self.assertIn("asked again about 1 document", html)
        waiting = Document.objects.filter(state=DocumentState.WAITING)
        self.assertEqual(list(waiting), [touched])
        untouched.refresh_from_db()
        self.assertEqual(untouched.state, DocumentState.READY)

    def test_what_has_reviews_is_not_asked_about_again(self) -> None:
        self.project.reviews_needed = 2
        self.project.save()
        document = self.ready()
        self.pick("lib", "cli")
        html = self.do("retire", "cli", ask="1")
        document.refresh_from_db()
        self.assertEqual((document.state, document.reviews), (DocumentState.READY, 1))
        self.assertIn("with reviews: 1", html)


class Merged(Curating):
    def test_tags_are_read_as_the_end_of_the_chain(self) -> None:
        document = self.ready()
        self.pick("lib", "cli")
        before = list(Decision.objects.values())
        self.do("merge", "cli", into=str(self.tag("blog").number))
        self.assertEqual(self.finals(document), ["lib", "blog"])
        self.do("merge", "blog", into=str(self.tag("lib").number))
        self.assertEqual(self.finals(document), ["lib"])
        answer = self.client.get("/documents/5201.json").json()
        self.assertEqual(answer["tags"], [{"id": 33, "name": "lib"}])
        out = StringIO()
        call_command("export_tags", stdout=out)
        self.assertEqual(json.loads(out.getvalue())["tags"], [{"id": 33, "name": "lib"}])
        self.assertEqual(list(Decision.objects.values()), before)

    def test_the_name_becomes_a_synonym(self) -> None:
        before = {name: set(self.tag(name).synonyms) for name in ("blog", "cli", "chat")}
        self.do("merge", "cli", "chat", into=str(self.tag("blog").number))
        self.assertEqual(set(self.tag("blog").synonyms), {"cli", "chat"}.union(*before.values()))
        names = [tag["name"] for tag in VocabularyVersion.current(self.project).tags]
        self.assertNotIn("cli", names)

    def test_a_circle_is_refused(self) -> None:
        self.do("merge", "cli", into=str(self.tag("blog").number))
        # blog into cli: cli is not offered, and a form of one's own is refused.
        html = self.do("merge", "blog", into=str(self.project.tags.get(name="cli").number))
        self.assertIn("errorlist", html)
        html = self.do("merge", "blog", into=str(self.tag("blog").number))
        self.assertIn("errorlist", html)
        self.assertIsNone(self.tag("blog").merged_into)
        tag = self.tag("lib")
        with self.assertRaises(IntegrityError), transaction.atomic():
            Tag.objects.filter(pk=tag.pk).update(merged_into=tag)

    def test_the_desk_shows_the_new_one_and_equal_sets_once(self) -> None:
        document = self.ready()  # lib, cli · lib, http · framework
        self.assertEqual(len(self.page().urls), 3)
        self.do("merge", "cli", into=str(self.tag("http").number))
        page = self.page()
        sets = [self.shown(page, url) for url in page.urls]
        self.assertEqual(len(sets), 2)
        self.assertIn(["lib", "http"], sets)
        self.pick("lib", "http")
        self.assertEqual(self.finals(document), ["lib", "http"])

    def test_a_pair_whose_sides_have_become_one_set_is_not_exported_and_that_is_said(self) -> None:
        self.ready()
        self.do("merge", "cli", into=str(self.tag("http").number))
        self.pick("lib", "http")
        out, err = StringIO(), StringIO()
        call_command("export_preferences", stdout=out, stderr=err)
        lines = [json.loads(line) for line in out.getvalue().splitlines()]
        self.assertEqual(len(lines), 1)
        rejected = lines[0]["rejected"][0]["content"]
        self.assertEqual(rejected, reply("framework"))
        # Under the names that the model was shown.
        self.assertIn("cli", lines[0]["chosen"][0]["content"] + lines[0]["prompt"][0]["content"])
        self.assertIn("1 pairs left out", err.getvalue())

    def test_reviews_that_say_the_same_by_now_are_no_dispute(self) -> None:
        self.project.reviews_needed = 2
        self.project.save()
        document = self.ready()
        self.pick("lib", "cli")
        self.do("merge", "cli", into=str(self.tag("http").number))
        self.client.force_login(self.bob)
        self.pick("lib", "http")
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.REVIEWED)

    def test_the_documents_page_finds_them_under_the_new_one(self) -> None:
        document = self.ready()
        self.pick("lib", "cli")
        self.do("merge", "cli", into=str(self.tag("blog").number))
        found = find(self.project, Wanted(tag=self.tag("blog")))
        self.assertEqual([row.document for row in found.rows], [document])
        self.assertEqual([tag.name for tag in found.rows[0].tags], ["blog", "lib"])

    def test_restored_ones_are_read_as_they_were(self) -> None:
        document = self.ready()
        self.pick("lib", "cli")
        self.do("merge", "cli", into=str(self.tag("blog").number))
        self.do("restore", "cli")
        self.assertEqual(self.finals(document), ["lib", "cli"])


class Renamed(Curating):
    def test_the_number_stays_and_open_documents_show_the_new_name(self) -> None:
        self.ready()
        number = self.tag("cli").number
        self.edit("cli", name="command line", **self.confirmed())
        self.assertEqual(self.tag("command line").number, number)
        page = self.page()
        self.assertIn("command line", page.html)
        self.pick("lib", "command line")
        out = StringIO()
        call_command("export_preferences", stdout=out)
        chosen = json.loads(out.getvalue().splitlines()[0])["chosen"][0]["content"]
        self.assertEqual(chosen, reply("lib", "cli"))  # what the model was shown

    def test_a_name_is_another_s_whatever_its_case_and_spaces(self) -> None:
        for name in ("BLOG", " blog ", "b log", "bl\u200bog"):
            with self.subTest(name=name):
                self.assertIn("errorlist", self.edit("cli", name=name, **self.confirmed()))
        self.tag("cli")

    def test_names_that_are_none_are_refused(self) -> None:
        for name in ("", "  ", "a\x07b", "a\u202eb", "x" * 101):
            with self.subTest(name=name):
                self.assertIn("errorlist", self.edit("cli", name=name, **self.confirmed()))
        self.tag("cli")


class Split(Curating):
    def test_its_documents_are_decided_again_if_that_is_ticked(self) -> None:
        document = self.ready()
        self.pick("lib", "cli")
        names = "teletype\r\nshell script"
        html = self.act("split", "cli", names=names)
        self.assertIn("Reopen the 1 reviewed document", html)
        self.do("split", "cli", names=names)
        document.refresh_from_db()
        self.assertEqual(document.state, DocumentState.REVIEWED)
        self.assertEqual(self.finals(document), ["lib", "cli"])
        self.assertIsNotNone(self.tag("cli").retired_at)
        self.assertEqual(self.tag("teletype").number, self.tag("shell script").number - 1)

    def test_reopening_asks_nobody_twice(self) -> None:
        document = self.ready()
        self.pick("lib", "cli")
        self.do("split", "cli", names="teletype\nblog", reopen="1", ask="1")
        document.refresh_from_db()
        self.assertEqual((document.state, document.reviews), (DocumentState.WAITING, 0))
        self.assertEqual(Tag.objects.filter(name="blog").count(), 1)  # it was there

    def test_into_one_is_refused(self) -> None:
        for names in ("terminal", "Terminal\nterminal ", "cli\nblog", ""):
            with self.subTest(names=names):
                self.assertIn("errorlist", self.do("split", "cli", names=names))
        self.assertIsNone(self.tag("cli").retired_at)


class Retired(Curating):
    def test_a_set_with_it_can_still_be_picked_and_says_so(self) -> None:
        document = self.ready()
        self.do("retire", "cli")
        self.assertRegex(self.page().html, r'class="tag retired"[^>]*>cli<')
        self.pick("lib", "cli")
        self.assertEqual(self.finals(document), ["lib", "cli"])

    def test_it_is_given_by_nobody_any_more(self) -> None:
        self.do("retire", "blog")
        self.ready()
        self.assertNotIn("- blog\n", self.model.requests[-1]["messages"][0]["content"])
        page = self.page()
        proposal = Proposal.objects.get().pk
        fields = {**page.fields, "tags": str(self.tag("blog").number)}
        answer = self.client.post(f"/proposals/{proposal}/correct", fields)
        self.assertEqual(answer.status_code, 422)

    def test_the_last_one_stays(self) -> None:
        names = [tag.name for tag in self.project.tags.all()]
        self.assertIn("At least one tag", self.do("retire", *names))
        self.assertEqual(self.project.tags.active().count(), 90)


class TheHistory(Curating):
    def test_says_who_and_what_and_which_version_came_of_it(self) -> None:
        self.edit("cli", name="command line", **self.confirmed())
        change = VocabularyChange.objects.get()
        self.assertEqual((change.curator, change.verb), (self.carol, "rename"))
        self.assertEqual(change.version, VocabularyVersion.current(self.project))
        row = change.tags.get()
        assert row.before is not None
        self.assertEqual((row.before["name"], row.after["name"]), ("cli", "command line"))
        for url in (
            f"/admin/review/tag/{row.tag_id}/history/",
            f"/admin/review/tag/of/{self.project.pk}/history/",
        ):
            answer = self.curator.get(url)
            self.assertContains(answer, "<del>cli</del> <ins>command line</ins>", html=True)
            self.assertContains(answer, "carol")

    def test_a_change_is_reverted_by_another(self) -> None:
        before = self.tag("blog").synonyms
        self.do("merge", "cli", "chat", into=str(self.tag("blog").number))
        version = VocabularyChange.objects.get().version
        change = VocabularyChange.objects.get()
        url = f"/admin/review/tag/changes/{change.pk}/revert/"
        self.assertContains(self.curator.get(url), "Nothing is saved yet")
        self.curator.post(url, self.confirmed())
        self.assertEqual((self.tag("cli").merged_into, self.tag("blog").synonyms), (None, before))
        reverted = VocabularyChange.objects.latest("pk")
        self.assertEqual((reverted.verb, reverted.reverts), ("revert", change))
        self.assertNotEqual(reverted.version, version)
        # And that one too.
        self.curator.post(f"/admin/review/tag/changes/{reverted.pk}/revert/", self.confirmed())
        self.assertEqual(self.tag("cli").merged_into, self.tag("blog"))

    def test_a_tag_that_was_added_is_retired_by_it(self) -> None:
        self.curator.post("/admin/review/tag/add/", {"name": "wasm", **self.confirmed()})
        change = VocabularyChange.objects.get()
        self.curator.post(f"/admin/review/tag/changes/{change.pk}/revert/", self.confirmed())
        self.assertIsNotNone(self.tag("wasm").retired_at)

    def test_what_was_changed_again_since_is_not_reverted(self) -> None:
        self.edit("cli", name="command line", **self.confirmed())
        first = VocabularyChange.objects.get()
        self.edit("command line", name="teletype", **self.confirmed())
        url = f"/admin/review/tag/changes/{first.pk}/revert/"
        answer = self.curator.post(url, self.confirmed(), follow=True)
        self.assertContains(answer, "was changed again since")
        self.tag("teletype")
        self.edit("teletype", description="For terminals", **self.confirmed())
        second = VocabularyChange.objects.order_by("pk")[1]
        self.curator.post(f"/admin/review/tag/changes/{second.pk}/revert/", self.confirmed())
        self.assertEqual(self.tag("command line").description, "For terminals")

    def test_two_versions_are_compared(self) -> None:
        a = VocabularyVersion.current(self.project)
        self.edit("cli", name="command line", **self.confirmed())
        self.do("retire", "blog")
        self.edit("chat", description="Talking", **self.confirmed())
        self.curator.post("/admin/review/tag/add/", {"name": "wasm", **self.confirmed()})
        b = VocabularyVersion.current(self.project)
        found = differences(a, b)
        self.assertEqual([tag["name"] for tag in found.added], ["wasm"])
        self.assertEqual([tag["name"] for tag in found.removed], ["blog"])
        self.assertEqual([new["name"] for _old, new in found.renamed], ["command line"])
        self.assertEqual([new["name"] for _old, new in found.described], ["chat"])
        url = f"/admin/review/tag/of/{self.project.pk}/versions/?a={a.pk}&b={b.pk}"
        self.assertContains(self.curator.get(url), "<ins>command line</ins>", html=True)


class TheList(Curating):
    def test_is_what_the_admin_opens_with(self) -> None:
        answer = self.curator.get("/admin/", follow=True)
        self.assertContains(answer, "90 tags")
        self.assertContains(answer, "carol")

    def test_is_searched_in_all_that_is_said(self) -> None:
        Tag.objects.filter(name="blog").update(synonyms=["博客", "ÉCRIRE"])
        Tag.objects.filter(name="chat").update(not_for="forums")
        for query, name in (("博客", "blog"), ("écrire", "blog"), ("forum", "chat"), ("77", "3d")):
            with self.subTest(query=query):
                answer = self.curator.get("/admin/review/tag/", {"q": query})
                self.assertContains(answer, f">{name}</a>")
                self.assertContains(answer, "1 tag.")

    def test_texts_are_edited_in_it_and_previewed(self) -> None:
        blog, cli = self.tag("blog"), self.tag("cli")
        texts = {
            f"description-{blog.number}": "Posts\r\nand pages",
            f"not_for-{cli.number}": cli.not_for,
        }
        fields = {**texts, "save": "1", "loaded": "0"}
        html = self.curator.post("/admin/review/tag/", fields).content.decode()
        self.assertIn("Posts and pages", html)
        self.assertEqual(self.tag("blog").description, blog.description)
        self.curator.post("/admin/review/tag/", {**fields, **self.confirmed()})
        self.assertEqual(self.tag("blog").description, "Posts and pages")
        self.assertEqual(VocabularyChange.objects.get().tags.count(), 1)

    def test_a_text_that_another_changed_meanwhile_stays(self) -> None:
        self.edit("blog", description="By another", **self.confirmed())
        fields = {f"description-{self.tag('blog').number}": "Mine", "loaded": "0", "save": "1"}
        fields[f"description-{self.tag('chat').number}"] = "Talk"
        answer = self.curator.post(
            "/admin/review/tag/", {**fields, **self.confirmed()}, follow=True
        )
        self.assertContains(answer, "was changed by someone else meanwhile")
        self.assertEqual(self.tag("blog").description, "By another")
        self.assertEqual(self.tag("chat").description, "Talk")

    def test_counts_uses_in_the_background(self) -> None:
        self.ready("1")
        self.pick("lib", "cli")
        self.ready("2")
        page = self.page()
        proposal = Proposal.objects.latest("pk").pk
        given = {"tags": [self.tag("lib").number, self.tag("blog").number]}
        self.client.post(f"/proposals/{proposal}/correct", {**page.fields, **given})
        Note.objects.create(
            project=self.project, author=self.alice, tag=self.tag("blog"), text="What is it?"
        )
        tag_use.count_uses()
        self.assertFalse(TagUse.objects.exists())  # it may not be all yet
        self.grow_old()
        sweep_up()
        uses = {
            use.tag.name: (use.proposed, use.picked, use.corrected_in, use.corrected_out)
            for use in TagUse.objects.select_related("tag")
        }
        self.assertEqual(uses["lib"], (2, 1, 0, 0))
        self.assertEqual(uses["cli"], (2, 1, 0, 1))
        self.assertEqual(uses["blog"], (0, 0, 1, 0))
        self.assertIsNotNone(TagUse.objects.get(tag__name="blog").last_used_at)
        tag_use.count_uses()
        self.assertEqual(TagUse.objects.get(tag__name="lib").proposed, 2)  # not twice
        for _ in range(2):
            self.client.post("/undo", {"key": str(uuid.uuid4())})
        self.grow_old()
        tag_use.count_uses()
        self.assertEqual(TagUse.objects.get(tag__name="cli").picked, 0)
        self.assertEqual(TagUse.objects.get(tag__name="blog").corrected_in, 0)
        answer = self.curator.get("/admin/review/tag/?o=proposed")
        self.assertContains(answer, "Uses counted up to")
        self.assertContains(answer, "#notes")

    def test_costs_the_same_with_many_documents(self) -> None:
        with self.assertNumQueries(13):
            self.curator.get("/admin/review/tag/")
        for number in range(5):
            self.ready(str(number))
            self.pick("lib", "cli")
        with self.assertNumQueries(13):
            self.curator.get("/admin/review/tag/")


class Suggestions(Curating):
    def test_name_what_the_data_say(self) -> None:
        for number in range(3):
            self.ready(str(number), text="# Zigbee bridge\n\nSpeaks Zigbee.")
            self.pick("lib", "http")
        self.ready("none")
        page = self.page()
        proposal = Proposal.objects.latest("pk").pk
        self.client.post(f"/proposals/{proposal}/none", {**page.fields, "note": "It is a game"})
        swaps = suggest.swapped(self.project)
        self.assertEqual(
            [(swap.passed_over.name, swap.given.name, swap.count) for swap in swaps],
            [("cli", "http", 3)],
        )
        self.assertIn("Zigbee", [one.name for one in suggest.missing(self.project)])
        self.edit("blog", synonyms="Zigbee", **self.confirmed())
        self.assertNotIn("Zigbee", [one.name for one in suggest.missing(self.project)])
        self.grow_old()
        tag_use.count_uses()
        idle = [tag.name for tag in suggest.never_used(self.project)]
        self.assertNotIn("cli", idle)
        self.assertIn("blog", idle)
        answer = self.curator.get(f"/admin/review/tag/of/{self.project.pk}/suggestions/")
        for text in ("It is a game", "3 ×", "Document none"):
            self.assertContains(answer, text)

"""Notes to the curator: left beside a document, read and done on a page of their own."""

from __future__ import annotations

from django.test import Client

from review.models import Decision, Document, Membership, Note, Project, Role
from review.pipeline.note import leave, open_notes

from .base import HouseTestCase

SCRIPT = {"HX-Request": "true"}  # as note.js asks


class Leaving(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = self.ready()

    def send(self, **fields: object) -> int:
        fields = {"document": self.target.pk, "about": "document", "text": "Hm.", **fields}
        return self.client.post("/notes/add", fields, headers=SCRIPT).status_code

    def test_a_note_is_left_on_the_document_a_tag_or_the_tag_list(self) -> None:
        html = self.page().html
        self.assertIn('action="/notes/add"', html)
        tag = self.project.tags.get(name="lib")
        self.assertIn(f'<option value="{tag.number}">', html)
        self.assertEqual(self.send(text="A tag is missing"), 200)
        self.assertEqual(self.send(text="Too wide", about=tag.number), 200)
        self.assertEqual(self.send(text="Sort it", about="vocabulary"), 200)
        left = [(note.text, note.document, note.tag) for note in Note.objects.order_by("pk")]
        self.assertEqual(
            left,
            [
                ("A tag is missing", self.target, None),
                ("Too wide", self.target, tag),
                ("Sort it", None, None),
            ],
        )
        self.assertEqual({note.author for note in Note.objects.all()}, {self.alice})

    def test_it_decides_nothing_and_takes_no_lease(self) -> None:
        lease = self.page().fields["lease"]
        self.send()
        self.assertEqual(self.page().fields["lease"], lease)
        self.assertEqual(Decision.objects.count(), 0)

    def test_without_a_script_it_leads_back_and_says_so(self) -> None:
        fields = {"document": self.target.pk, "about": "document", "text": "Hm.", "from": "desk"}
        answer = self.client.post("/notes/add", fields)
        self.assertRedirects(answer, "/?noted=1#note")
        self.assertContains(self.client.get(answer["Location"]), "Sent to the curator.")
        answer = self.client.post("/notes/add", {**fields, "from": "page", "text": "More."})
        self.assertRedirects(answer, "/documents/5201?noted=1#note")
        self.assertContains(self.client.get(answer["Location"]), "Sent to the curator.")

    def test_an_empty_one_and_one_too_long_are_refused(self) -> None:
        for text in ("", " \n ", "\0", "x" * 2001):
            self.assertEqual(self.send(text=text), 422)
        self.assertEqual(self.send(text="x" * 2000), 200)
        self.assertEqual(Note.objects.count(), 1)

    def test_a_double_press_is_one_note(self) -> None:
        self.send()
        self.send()
        self.assertEqual(Note.objects.count(), 1)

    def test_what_is_not_there_or_not_mine_is_404(self) -> None:
        other = Project.objects.create(name="Another")
        theirs = Document.objects.create(project=other, external_id="x", sha256="0" * 64)
        for fields in (
            {"document": theirs.pk},
            {"document": ""},
            {"document": "9" * 30},
            {"about": "999999"},
        ):
            self.assertEqual(self.send(**fields), 404, fields)
        self.assertEqual(Note.objects.count(), 0)


class Reading(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = self.ready()
        self.carol = self.member("carol", Role.CURATOR)
        self.reviewer = Client()
        self.reviewer.force_login(self.bob)
        self.client.force_login(self.carol)

    def test_the_curator_sees_who_said_what_of_which_document_and_tag(self) -> None:
        tag = self.project.tags.get(name="lib")
        leave(self.project, self.bob, "<b>Too</b> *wide*", self.target, tag)
        page = self.client.get("/notes")
        self.assertContains(page, "&lt;b&gt;Too&lt;/b&gt; *wide*")
        self.assertContains(page, 'href="/documents/5201"')
        self.assertContains(page, f'href="/admin/review/tag/{tag.pk}/change/"')
        self.assertContains(page, "bob")

    def test_a_note_that_is_done_goes_and_can_be_opened_again(self) -> None:
        note = leave(self.project, self.bob, "A tag is missing")
        self.assertEqual(open_notes(self.project), 1)
        self.assertRedirects(self.client.post(f"/notes/{note.pk}/done"), "/notes")
        self.assertNotContains(self.client.get("/notes"), "A tag is missing")
        self.assertContains(self.client.get("/notes?done=1"), "done by carol")
        self.assertEqual(open_notes(self.project), 0)
        self.client.post(f"/notes/{note.pk}/reopen")
        self.assertContains(self.client.get("/notes"), "A tag is missing")

    def test_a_second_curator_does_not_take_the_first_ones_place(self) -> None:
        note = leave(self.project, self.bob, "A tag is missing")
        self.client.post(f"/notes/{note.pk}/done")
        other = Client()
        other.force_login(self.member("dave", Role.CURATOR))
        other.post(f"/notes/{note.pk}/done")
        note.refresh_from_db()
        self.assertEqual(note.done_by, self.carol)

    def test_many_come_in_pages_the_newest_first(self) -> None:
        Note.objects.bulk_create(
            Note(project=self.project, author=self.bob, text=f"note {number:03}.")
            for number in range(120)
        )
        first = self.client.get("/notes")
        self.assertContains(first, "note 119.")
        self.assertContains(first, "note 070.")
        self.assertNotContains(first, "note 069.")
        self.assertContains(first, "99+")
        second = self.client.get("/notes", {"before": first.context["older"]})
        self.assertContains(second, "note 069.")
        self.assertContains(second, "note 020.")
        third = self.client.get("/notes", {"before": second.context["older"]})
        self.assertContains(third, "note 000.")
        self.assertIsNone(third.context["older"])

    def test_the_reasons_given_with_a_skip_stand_below(self) -> None:
        page = self.page(self.reviewer)
        proposal = self.target.proposals.get()
        fields = {**page.fields, "reason": "other", "note": "It is a <poem>."}
        self.reviewer.post(f"/proposals/{proposal.pk}/skip", fields)
        self.assertContains(self.client.get("/notes"), "It is a &lt;poem&gt;.")

    def test_another_projects_notes_are_not_seen_nor_done(self) -> None:
        other = Project.objects.create(name="Another")
        Membership.objects.create(project=other, user=self.bob, role=Role.OWNER)
        theirs = leave(other, self.bob, "Theirs alone")
        self.assertNotContains(self.client.get("/notes"), "Theirs alone")
        self.assertEqual(self.client.post(f"/notes/{theirs.pk}/done").status_code, 404)
        self.assertEqual(self.client.post(f"/notes/{theirs.pk}/reopen").status_code, 404)

"""Every address × everyone who may ask for it: exactly this table."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver

from review.models import Decision

from .base import HouseTestCase

# For each address: what the signed-out, a user without a project, a member of another project
# and a reviewer are answered. 302 is the way to the sign-in page, unless said otherwise.
TABLE: dict[str, tuple[int, int, int, int]] = {
    "GET queue": (302, 403, 200, 200),
    "GET next": (302, 403, 204, 200),
    "POST choose": (302, 404, 404, 409),  # 409: without a lease
    "POST correct": (302, 404, 404, 422),  # 422: without tags
    "POST none": (302, 404, 404, 409),
    "POST skip": (302, 404, 404, 409),
    "POST undo": (302, 403, 200, 200),
    "POST renew": (302, 409, 409, 409),  # another's lease
    "POST release": (302, 204, 204, 204),  # changes nothing: see the test below
    "GET vocabulary": (302, 403, 200, 200),
    "GET history": (302, 403, 200, 200),
    "GET document_json": (401, 403, 404, 200),
    "GET document_page": (302, 403, 404, 200),
    "GET sign_in": (200, 302, 302, 302),  # 302: already in
    "POST sign_out": (302, 302, 302, 302),
}


class Everyone(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = self.ready()
        self.proposal = self.target.proposals.get()
        self.lease = self.page(self.as_user(self.bob)).fields["lease"]
        self.ready("another")

    def as_user(self, user: User | None) -> Client:
        client = Client()
        if user is not None:
            client.force_login(user)
        return client

    def strangers(self) -> list[User | None]:
        from review.models import Membership, Project

        alone = User.objects.create_user("alone")
        elsewhere = User.objects.create_user("elsewhere")
        other = Project.objects.create(name="Another project")
        Membership.objects.create(project=other, user=elsewhere)
        return [None, alone, elsewhere, self.alice]

    def ask(self, client: Client, what: str) -> int:
        method, name = what.split()
        candidate = self.proposal.candidates.get(rank=1)
        paths: dict[str, str] = {
            "queue": "/",
            "next": "/next",
            "choose": f"/candidates/{candidate.pk}/choose",
            "correct": f"/proposals/{self.proposal.pk}/correct",
            "none": f"/proposals/{self.proposal.pk}/none",
            "skip": f"/proposals/{self.proposal.pk}/skip",
            "undo": "/undo",
            "renew": "/leases/renew",
            "release": "/leases/release",
            "vocabulary": "/vocabulary.json",
            "history": "/history",
            "document_json": "/documents/5201.json",
            "document_page": "/documents/5201",
            "sign_in": "/sign-in/",
            "sign_out": "/sign-out/",
        }
        if method == "GET":
            return client.get(paths[name]).status_code
        fields: dict[str, Any] = {"key": str(uuid.uuid4())}
        if name in ("renew", "release"):
            fields["lease"] = self.lease
        return client.post(paths[name], fields).status_code

    def test_gets_exactly_what_the_table_says(self) -> None:
        strangers = self.strangers()
        for what, expected in TABLE.items():
            answers = tuple(self.ask(self.as_user(who), what) for who in strangers)
            with self.subTest(what=what):
                self.assertEqual(answers, expected)
        self.assertEqual(Decision.objects.count(), 0)
        self.target.refresh_from_db()
        self.assertEqual(str(self.target.lease_token), self.lease)
        self.assertEqual(self.target.lease_holder, self.bob)

    def test_every_address_is_in_the_table(self) -> None:
        patterns = get_resolver("review.urls").url_patterns
        names = {what.split()[1] for what in TABLE}
        self.assertEqual({getattr(pattern, "name", None) for pattern in patterns}, names)

    def test_what_is_posted_is_not_got(self) -> None:
        client = self.as_user(self.alice)
        for what in TABLE:
            method, name = what.split()
            if method == "POST":
                with self.subTest(what=what):
                    self.assertEqual(self.ask(client, f"GET {name}"), 405)

    def test_the_admin_is_for_staff(self) -> None:
        client = self.as_user(self.alice)
        self.assertEqual(client.get("/admin/").status_code, 302)
        self.assertEqual(client.get("/admin/review/tag/").status_code, 302)


class TheAdmin(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.admin = User.objects.create_superuser("root", password="a long passphrase")
        self.client.force_login(self.admin)
        self.document_ready = self.ready()

    def test_its_pages_open(self) -> None:
        for name in ("tag", "project", "document", "proposal", "decision"):
            with self.subTest(name=name):
                self.assertEqual(self.client.get(f"/admin/review/{name}/").status_code, 200)
                self.assertEqual(
                    self.client.get(f"/admin/review/{name}/", {"q": "lib"}).status_code, 200
                )
        self.assertContains(self.client.get("/admin/review/tag/"), "90 tags")

    def test_what_people_and_models_did_is_only_read(self) -> None:
        for name in ("document", "proposal", "decision"):
            self.assertEqual(self.client.get(f"/admin/review/{name}/add/").status_code, 403)
        proposal = self.document_ready.proposals.get()
        url = f"/admin/review/proposal/{proposal.pk}/change/"
        self.assertEqual(self.client.get(url).status_code, 200)
        self.assertEqual(self.client.post(url, {"model": "x"}).status_code, 403)
        url = f"/admin/review/proposal/{proposal.pk}/delete/"
        self.assertEqual(self.client.post(url, {"post": "yes"}).status_code, 403)

    def test_a_tag_is_retired_restored_and_never_deleted(self) -> None:
        tag = self.project.tags.get(name="blog")
        data = {"action": "retire", "_selected_action": [tag.pk]}
        self.client.post("/admin/review/tag/", data)
        tag.refresh_from_db()
        self.assertIsNotNone(tag.retired_at)
        self.client.post("/admin/review/tag/", {**data, "action": "restore"})
        tag.refresh_from_db()
        self.assertIsNone(tag.retired_at)
        self.client.post("/admin/review/tag/", {**data, "action": "delete_selected"})
        self.assertTrue(self.project.tags.filter(name="blog").exists())

    def test_a_retired_tag_is_not_shown_to_the_model(self) -> None:
        tag = self.project.tags.get(name="blog")
        self.client.post("/admin/review/tag/", {"action": "retire", "_selected_action": [tag.pk]})
        self.ready("after")
        self.assertNotIn("- blog\n", self.model.requests[-1]["messages"][0]["content"])

    def test_a_failed_document_is_asked_about_again(self) -> None:
        document = self.document_ready
        type(document).objects.update(state="failed", reason="It was tried 3 times.")
        data = {"action": "let_the_model_read_again", "_selected_action": [document.pk]}
        self.client.post("/admin/review/document/", data)
        document.refresh_from_db()
        self.assertEqual((document.state, document.reason), ("waiting", ""))

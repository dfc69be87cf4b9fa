"""The admin: every address of it as everyone, and nothing of another project by any of them."""

from __future__ import annotations

import json
import uuid

from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver

from review.admin import site
from review.models import Decision, DecisionKind, Membership, Project, Role, Scope, Tag
from review.pipeline import token
from review.pipeline.intake import take_in
from review.pipeline.vocabulary import carry_out, read, rename
from review.readers import Incoming

from .base import HouseTestCase
from .permissions_table import ADMIN
from .test_permissions import Asked

LISTS = ("tag", "project", "document", "proposal", "decision", "note", "vocabularyversion")


def names_of(patterns: list[URLPattern | URLResolver]) -> set[str]:
    names: set[str] = set()
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            names |= names_of(pattern.url_patterns)
        elif pattern.name:  # the others are an old address of a row, and "not found"
            names.add(pattern.name)
    return names


class Rows(Asked):
    def setUp(self) -> None:
        super().setUp()
        proposal = self.target.proposals.get()
        decision = Decision.objects.create(
            document=self.target,
            reviewer=self.bob,
            kind=DecisionKind.NONE,
            proposal=proposal,
            milliseconds=1,
            key=uuid.uuid4(),
        )
        self.tag = self.project.tags.get(name="blog")
        self.things |= {
            "document": self.target.pk,
            "decision": decision.pk,
            "tag": self.tag.pk,
            "user": self.bob.pk,
            "group": Group.objects.create(name="A group").pk,
            "vocabularyversion": proposal.vocabulary_version_id,
            "token": token.make(self.project, self.bob, "A program", [Scope.READ], 30)[0].pk,
            "change": carry_out(self.project, rename(read(self.project), 77, "3D"), self.bob, 0).pk,
            "content_type": ContentType.objects.get_for_model(Tag).pk,
        }
        self.decisions = 1


class EveryoneInTheAdmin(Rows):
    def test_gets_exactly_what_the_table_says(self) -> None:
        self.ask_all(ADMIN)

    def test_every_address_is_in_the_table(self) -> None:
        self.assertEqual(names_of(site.get_urls()), {what.split()[1] for what in ADMIN})

    def test_superusers_have_the_accounts_and_all_projects(self) -> None:
        self.people["owner"] = User.objects.create_superuser("root")
        for what in ADMIN:
            if what.startswith("GET auth_") or what.endswith(("_changelist", "_change")):
                with self.subTest(what=what):
                    kept = what == "GET auth_user_delete"  # bob: he has decided something
                    self.assertEqual(self.ask(ADMIN, what, "owner"), 403 if kept else 200)

    def test_a_reviewer_is_told_whom_to_ask(self) -> None:
        answer = self.client.get("/admin/", follow=True)
        self.assertContains(answer, "Ask its owner", status_code=403)

    def test_the_flags_and_permissions_of_before_open_nothing(self) -> None:
        for role, status in ((Role.REVIEWER, 302), (Role.OWNER, 403)):
            user = self.member(f"staff {role}", role)
            user.is_staff = True
            user.save()
            user.user_permissions.set(Permission.objects.all())
            self.client.force_login(user)
            self.assertEqual(self.client.get("/admin/auth/user/").status_code, status)
            url = f"/admin/auth/user/{user.pk}/change/"
            self.client.post(url, {"username": "me", "is_superuser": "on"})
            user.refresh_from_db()
            self.assertFalse(user.is_superuser)


class ACuratorElsewhere(Rows):
    """Curator of two projects, reviewer in the house's own: nothing of that one in the admin."""

    def setUp(self) -> None:
        super().setUp()
        self.project.name = "The house"
        self.project.save()
        self.mine = Project.objects.create(name="Mine")
        second = Project.objects.create(name="Mine too")
        user = self.member("elsa", Role.REVIEWER)
        for number, project in enumerate((self.mine, second)):
            Membership.objects.create(project=project, user=user, role=Role.CURATOR)
            self.own = Tag.objects.create(project=project, number=1, name=f"my tag {number}")
            take_in(project, [Incoming("1", "Words.", title="My document")])
        self.client.force_login(user)

    def test_lists_and_filters_name_nothing_of_it(self) -> None:
        for name in LISTS:
            for query in (
                {},
                {"q": "5201"},
                {"q": "blog"},
                {"of": self.project.pk},
                {"project": self.project.pk},
            ):
                with self.subTest(name=name, query=query):
                    answer = self.client.get(f"/admin/review/{name}/", query, follow=True)
                    for secret in ("The house", "Document 5201", "bob", ">blog<"):
                        self.assertNotContains(answer, secret)
        answer = self.client.get("/admin/review/tag/")
        self.assertContains(answer, "Mine too")  # the way to it is there
        self.assertContains(answer, "1 tag.")
        self.assertContains(self.client.get("/admin/review/document/"), "Mine too")

    def test_rows_of_it_are_as_if_they_were_not_there(self) -> None:
        for name in LISTS:
            for page in ("change", "history"):
                there = f"/admin/review/{name}/{self.things[name]}/{page}/"
                nowhere = f"/admin/review/{name}/999999/{page}/"
                for url in (there, nowhere):
                    with self.subTest(url=url):
                        answer = self.client.get(url)
                        self.assertRedirects(answer, "/admin/", fetch_redirect_response=False)

    def test_a_tag_is_added_to_their_own_projects_only(self) -> None:
        fields = {"number": 900, "name": "slipped in", "confirm": 1, "seen": 0}
        self.client.post(f"/admin/review/tag/add/?project={self.project.pk}", fields)
        self.assertFalse(self.project.tags.filter(number=900).exists())
        self.assertTrue(self.mine.tags.filter(number=900).exists())

    def test_a_tag_of_it_is_changed_by_no_form(self) -> None:
        fields = {"name": "changed", "description": "changed", "confirm": 1, "seen": 0}
        for seen in range(3):
            fields["seen"] = seen
            self.client.post(f"/admin/review/tag/{self.tag.pk}/change/", fields)
            for verb in ("retire", "restore", "merge", "split"):
                url = f"/admin/review/tag/act/{verb}/?tag={self.tag.pk}"
                more = {"into": 3, "names": "a\nb"}
                self.assertEqual(self.client.post(url, {**fields, **more}).status_code, 404)
            mixed = f"/admin/review/tag/act/retire/?tag={self.tag.pk}&tag={self.own.pk}"
            self.assertEqual(self.client.post(mixed, fields).status_code, 404)
            revert = f"/admin/review/tag/changes/{self.things['change']}/revert/"
            self.assertEqual(self.client.post(revert, fields).status_code, 404)
            file = {"name": "t.csv", "file": ContentFile(b"id,name\n1,changed", "t.csv")}
            load = f"/admin/review/tag/of/{self.project.pk}/import/"
            self.assertEqual(self.client.post(load, {**fields, **file}).status_code, 404)
        url = f"/admin/review/tag/?project={self.project.pk}"
        self.client.post(url, {f"description-{self.tag.number}": "changed", "confirm": 1})
        self.tag.refresh_from_db()
        self.assertEqual(self.tag.name, "blog")
        self.assertNotEqual(self.tag.description, "changed")
        self.assertIsNone(self.tag.retired_at)
        self.assertEqual(self.project.changes.count(), 1)  # the one that was there

    def test_actions_do_not_reach_it(self) -> None:
        chosen = {"action": "pin", "_selected_action": [self.target.pk]}
        self.client.post("/admin/review/document/", chosen)
        self.target.refresh_from_db()
        self.assertFalse(self.target.pinned)

    def test_nothing_of_it_is_completed(self) -> None:
        for model, field in (
            ("tag", "merged_into"),
            ("tag", "project"),
            ("proposal", "document"),
            ("decision", "proposal"),
            ("decision", "reviewer"),
            ("membership", "user"),
            ("note", "tag"),
            ("token", "user"),
        ):
            with self.subTest(model=model, field=field):
                query = {"app_label": "review", "model_name": model, "field_name": field}
                answer = self.client.get("/admin/autocomplete/", {**query, "term": ""})
                if answer.status_code == 200:
                    texts = [row["text"] for row in json.loads(answer.content)["results"]]
                    self.assertTrue(all("y " in text for text in texts), texts)  # "my", "My"
                else:
                    self.assertIn(answer.status_code, (403, 404))


class TheProjectsSettings(HouseTestCase):
    def change(self, user: User, **more: object) -> int:
        self.client.force_login(user)
        url = f"/admin/review/project/{self.project.pk}/change/"
        rows = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
        fields = {"name": "Renamed", "max_tags": 3, "reviews_needed": 1, "repeat_share": 0}
        fields["gold_every"] = 0
        return self.client.post(url, {**rows, **fields, **more}).status_code

    def test_are_changed_by_the_owner_only(self) -> None:
        self.change(self.member("carol", Role.CURATOR))  # whose is the prompt, and nothing else
        self.project.refresh_from_db()
        self.assertEqual(self.project.name, "READMEs")
        self.assertEqual(self.change(self.member("olga", Role.OWNER)), 302)
        self.project.refresh_from_db()
        self.assertEqual(self.project.name, "Renamed")

    def test_members_are_not_changed_beside_them(self) -> None:
        olga = self.member("olga", Role.OWNER)
        membership = self.alice.memberships.get()
        row = {"id": membership.pk, "project": self.project.pk, "user": self.alice.pk}
        counts = {"memberships-TOTAL_FORMS": 1, "memberships-INITIAL_FORMS": 1}
        fields = {f"memberships-0-{name}": value for name, value in row.items()}
        self.change(olga, **counts, **fields, **{"memberships-0-role": "owner"})
        self.change(olga, **counts, **fields, **{"memberships-0-DELETE": "on"})
        membership.refresh_from_db()
        self.assertEqual(membership.role, Role.REVIEWER)


class TheAdmin(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.admin = User.objects.create_superuser("root", password="a long passphrase")
        self.client.force_login(self.admin)
        self.document_ready = self.ready()

    def test_its_pages_open(self) -> None:
        for name in (*LISTS, "token"):
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

    def test_a_tag_is_never_deleted(self) -> None:
        tag = self.project.tags.get(name="blog")
        data = {"action": "delete_selected", "_selected_action": [tag.pk], "post": "yes"}
        self.client.post("/admin/review/tag/", data)
        url = f"/admin/review/tag/{tag.pk}/delete/"
        self.assertEqual(self.client.post(url, data).status_code, 403)
        self.assertTrue(self.project.tags.filter(name="blog").exists())

    def test_no_list_counts_its_table(self) -> None:
        for name in ("document", "proposal", "decision", "note"):
            with self.subTest(name=name), CaptureQueriesContext(connection) as asked:
                self.client.get(f"/admin/review/{name}/", {"q": "5201"})
                self.client.get(f"/admin/review/{name}/")
            counts = [one["sql"] for one in asked.captured_queries if "COUNT(" in one["sql"]]
            self.assertEqual([sql for sql in counts if "LIMIT" not in sql], [])

    def test_a_document_is_found_by_its_id_and_leads_to_its_page(self) -> None:
        for name in ("document", "proposal"):
            answer = self.client.get(f"/admin/review/{name}/", {"q": "5201"})
            self.assertContains(answer, 'href="/documents/5201"')
            answer = self.client.get(f"/admin/review/{name}/", {"q": "520"})
            self.assertNotContains(answer, 'href="/documents/5201"')

    def test_a_failed_document_is_asked_about_again(self) -> None:
        document = self.document_ready
        type(document).objects.update(state="failed", reason="It was tried 3 times.")
        data = {"action": "let_the_model_read_again", "_selected_action": [document.pk]}
        self.client.post("/admin/review/document/", data)
        document.refresh_from_db()
        self.assertEqual((document.state, document.reason), ("waiting", ""))

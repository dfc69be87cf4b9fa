"""The menu, another project, and an owner's page of the people."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from review.models import Decision, Document, Membership, Project, Role

from .base import HouseTestCase


class PeopleTestCase(HouseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.olga = self.member("olga", Role.OWNER)
        self.client.force_login(self.olga)

    def as_user(self, user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    def queries(self, client: Client, path: str, headers: dict[str, str] | None = None) -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(path, headers=headers)
        return len(queries)

    def role_of(self, user: User) -> str:
        return Membership.objects.get(project=self.project, user=user).role

    def change(self, user: User, role: str, client: Client | None = None) -> int:
        membership = Membership.objects.get(project=self.project, user=user)
        url = f"/people/{membership.pk}/role"
        return (client or self.client).post(url, {"role": role}).status_code

    def remove(self, user: User, client: Client | None = None) -> int:
        membership = Membership.objects.get(project=self.project, user=user)
        return (client or self.client).post(f"/people/{membership.pk}/remove").status_code


class ThePeople(PeopleTestCase):
    def test_are_listed_with_what_they_did_today(self) -> None:
        self.ready()
        alice = self.as_user(self.alice)
        page = self.page(alice)
        alice.post(page.urls[0], page.fields)
        html = self.client.get("/people").content.decode()
        rows = re.findall(r'<th scope="row"[^>]*>(\w+).*?class="number">(\d+)', html, re.DOTALL)
        self.assertEqual(rows, [("alice", "1"), ("bob", "0"), ("olga", "0")])
        self.assertEqual(html.count("never"), 2)

    def test_work_elsewhere_is_not_told(self) -> None:
        self.ready()
        alice = self.as_user(self.alice)
        page = self.page(alice)
        alice.post(page.urls[0], page.fields)
        other = Project.objects.create(name="Other")
        Membership.objects.create(project=other, user=self.alice)
        owner = User.objects.create_user("oscar")
        Membership.objects.create(project=other, user=owner, role=Role.OWNER)
        html = self.as_user(owner).get("/people").content.decode()
        self.assertEqual(html.count("never"), 2)
        self.assertNotIn("bob", html)

    def test_a_list_of_many_costs_no_more_queries(self) -> None:
        few = self.queries(self.client, "/people")
        for number in range(20):
            self.member(f"more {number}", Role.REVIEWER)
        self.assertEqual(self.queries(self.client, "/people"), few)

    def test_an_account_is_added_by_its_name(self) -> None:
        new = User.objects.create_user("nora")
        answer = self.client.post("/people/add", {"name": " nora ", "role": "curator"}, follow=True)
        self.assertContains(answer, "nora was added.")
        self.assertEqual(self.role_of(new), Role.CURATOR)

    def test_adding_a_member_again_changes_nothing(self) -> None:
        answer = self.client.post("/people/add", {"name": "bob", "role": "owner"})
        self.assertContains(answer, "is a member already", status_code=422)
        self.assertEqual(self.role_of(self.bob), Role.REVIEWER)

    def test_a_name_without_an_account_is_said_and_kept_in_its_field(self) -> None:
        answer = self.client.post("/people/add", {"name": "nobody", "role": "curator"})
        self.assertContains(answer, "There is no account", status_code=422)
        self.assertContains(answer, 'value="nobody"', status_code=422)
        self.assertFalse(User.objects.filter(username="nobody").exists())

    def test_an_account_is_created_and_its_password_shown_this_once(self) -> None:
        fields = {"name": "nora", "role": "reviewer", "new": "1"}
        more = {"is_superuser": "on", "is_staff": "on"}
        answer = self.client.post("/people/add", {**fields, **more})
        found = re.search(r"<code>(.+?)</code>", answer.content.decode())
        assert found is not None
        self.assertIn("no-store", answer.headers["Cache-Control"])
        nora = User.objects.get(username="nora")
        self.assertFalse(nora.is_superuser or nora.is_staff)
        self.assertNotContains(self.client.get("/people"), found.group(1))
        with_password = {"username": "nora", "password": found.group(1)}
        client = Client()
        self.assertRedirects(client.post("/sign-in/", with_password), "/")
        self.assertEqual(self.role_of(nora), Role.REVIEWER)

    def test_a_name_that_is_taken_or_will_not_do_creates_nothing(self) -> None:
        before = User.objects.count()
        for name in ("bob", "", "two words", "x" * 151):
            fields = {"name": name, "role": "reviewer", "new": "1"}
            with self.subTest(name=name):
                self.assertEqual(self.client.post("/people/add", fields).status_code, 422)
        self.assertEqual(User.objects.count(), before)

    def test_a_role_is_changed_and_an_unknown_one_refused(self) -> None:
        self.change(self.bob, "curator")
        self.assertEqual(self.role_of(self.bob), Role.CURATOR)
        self.assertEqual(self.change(self.bob, "superuser"), 400)
        self.assertEqual(self.role_of(self.bob), Role.CURATOR)

    def test_the_last_owner_stays(self) -> None:
        self.assertEqual(self.change(self.olga, "curator"), 422)
        self.assertEqual(self.remove(self.olga), 422)
        self.assertEqual(self.role_of(self.olga), Role.OWNER)
        self.change(self.bob, "owner")
        self.assertEqual(self.remove(self.olga), 302)
        bob = self.as_user(self.bob)
        self.assertEqual(self.change(self.bob, "reviewer", bob), 422)

    def test_who_gives_up_their_role_goes_to_the_queue(self) -> None:
        self.change(self.bob, "owner")
        membership = self.olga.memberships.get()
        answer = self.client.post(f"/people/{membership.pk}/role", {"role": "reviewer"})
        self.assertRedirects(answer, "/")

    def test_who_is_removed_leaves_decisions_and_no_lease(self) -> None:
        self.ready()
        self.ready("5202")
        alice = self.as_user(self.alice)
        page = self.page(alice)
        alice.post(page.urls[0], page.fields)
        self.page(alice)
        held = Document.objects.get(lease_holder=self.alice)
        answer = self.client.post(f"/people/{self.alice.memberships.get().pk}/remove", follow=True)
        self.assertContains(answer, "What they decided stays.")
        self.assertIn(held, Document.objects.unleased(timezone.now()))
        self.assertEqual(Decision.objects.get().reviewer, self.alice)
        self.assertEqual(alice.get("/").status_code, 403)

    def test_members_of_another_project_are_out_of_reach(self) -> None:
        other = Project.objects.create(name="Other")
        theirs = Membership.objects.create(project=other, user=self.bob)
        url = f"/people/{theirs.pk}"
        self.assertEqual(self.client.post(f"{url}/role", {"role": "owner"}).status_code, 404)
        self.assertEqual(self.client.post(f"{url}/remove").status_code, 404)


class TheMenu(PeopleTestCase):
    def doors(self, user: User, path: str = "/history") -> list[str]:
        html = self.as_user(user).get(path).content.decode()
        menu = html.partition('class="box"')[2].partition("</ul>")[0]
        return re.findall(r"<a [^>]*>([^<]+?) ?<", menu)

    def test_has_the_doors_of_the_role(self) -> None:
        carol = self.member("carol", Role.CURATOR)
        self.assertEqual(self.doors(self.alice), ["Queue"])
        curators = self.doors(carol)
        self.assertEqual((curators[0], curators[-1]), ("Queue", "Admin"))
        self.assertNotIn("People", curators)
        self.assertIn("People", self.doors(self.olga))
        self.assertEqual(self.doors(User.objects.create_superuser("root"), "/nowhere"), ["Admin"])

    def test_says_where_its_reader_is(self) -> None:
        self.assertContains(self.client.get("/people"), '<a href="/people" aria-current="page">')
        self.assertContains(self.client.get("/"), '<a href="/" aria-current="page">')

    def test_costs_a_fragment_nothing(self) -> None:
        self.ready()
        carol = self.as_user(self.member("carol", Role.CURATOR))
        carol.get("/")
        page = self.queries(carol, "/")
        fragment = self.queries(carol, "/", {"HX-Request": "true"})
        self.assertLess(fragment, page)

    def test_pages_of_refusal_stand_without_a_project(self) -> None:
        alone = self.as_user(User.objects.create_user("alone"))
        answer = alone.get("/")
        self.assertContains(answer, "Ask its owner to add you", status_code=403)
        self.assertContains(answer, "alone", status_code=403)
        self.assertContains(alone.get("/nowhere"), "no such page", status_code=404)
        self.assertContains(Client().get("/nowhere"), "no such page", status_code=404)


class AnotherProject(PeopleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = Project.objects.create(name="The other project")
        Membership.objects.create(project=self.other, user=self.alice, role=Role.CURATOR)
        self.hers = self.as_user(self.alice)

    def test_is_offered_to_its_members_only(self) -> None:
        self.assertContains(self.hers.get("/"), f'action="/projects/{self.other.pk}/enter"')
        self.assertNotContains(self.client.get("/"), "/enter")
        answer = self.client.post(f"/projects/{self.other.pk}/enter")
        self.assertEqual(answer.status_code, 404)

    def test_is_entered_with_its_role_and_the_way_back_is_there(self) -> None:
        self.assertEqual(self.hers.get("/people").status_code, 403)
        answer = self.hers.post(f"/projects/{self.other.pk}/enter")
        self.assertRedirects(answer, "/")
        html = self.hers.get("/").content.decode()
        self.assertIn('<span class="project" dir="auto">The other project</span>', html)
        self.assertIn(">Admin<", html)
        self.assertIn(f'action="/projects/{self.project.pk}/enter"', html)

    def test_entering_gives_back_what_was_held_in_the_old_one(self) -> None:
        document = self.ready()
        page = self.page(self.hers)
        self.hers.post(f"/projects/{self.other.pk}/enter")
        bobs = self.as_user(self.bob)
        self.assertIn("Document 5201", self.page(bobs).html)
        document.refresh_from_db()
        self.assertEqual(document.lease_holder, self.bob)
        self.assertEqual(self.hers.post(page.urls[0], page.fields).status_code, 409)

    def test_entering_again_keeps_what_is_held_there(self) -> None:
        self.ready()
        lease = self.page(self.hers).fields["lease"]
        self.hers.post(f"/projects/{self.project.pk}/enter")
        self.assertEqual(self.page(self.hers).fields["lease"], lease)


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_remove_each_other_at_once_leave_one() -> None:
    owners = [User.objects.create(username=f"owner {number}") for number in range(2)]
    for number in range(5):
        project = Project.objects.create(name=f"Project {number}")
        first, second = (
            Membership.objects.create(
                project=project, user=user, role=Role.OWNER, entered_at=timezone.now()
            )
            for user in owners
        )
        together = Barrier(2)

        def remove(user: User, other: Membership, together: Barrier = together) -> None:
            client = Client()
            client.force_login(user)
            together.wait(10)
            client.post(f"/people/{other.pk}/remove")
            connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(remove, owners, (second, first)))
        assert project.memberships.filter(role=Role.OWNER).count() == 1


class ThePassword(HouseTestCase):
    def test_one_changes_ones_own_and_is_signed_out_elsewhere(self) -> None:
        elsewhere = Client()
        elsewhere.force_login(self.alice)
        new = {"new_password1": "another long phrase", "new_password2": "another long phrase"}
        wrong = self.client.post("/password", {"old_password": "no", **new})
        self.assertContains(wrong, 'role="alert"')
        self.client.post("/password", {"old_password": "a long passphrase", **new})
        self.alice.refresh_from_db()
        self.assertTrue(self.alice.check_password("another long phrase"))
        self.assertEqual(self.client.get("/").status_code, 200)
        self.assertEqual(elsewhere.get("/").status_code, 302)

"""The door: too many wrong passwords, sessions that end, and no way to make an account."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from review.models import Role, Scope
from review.pipeline import token

from .base import HouseTestCase
from .permissions_table import TABLE

WRONG = "not the passphrase"
RIGHT = "a long passphrase"


class TheDoor(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _settings(self, settings: Settings) -> None:
        self.given = settings

    def sign_in(
        self, name: str, password: str, address: str = "203.0.113.7", **headers: str
    ) -> tuple[int, Client]:
        client = Client(REMOTE_ADDR=address, headers=headers)
        fields = {"username": name, "password": password}
        return client.post("/sign-in/", fields).status_code, client

    def fails(self, times: int, name: str = "alice", **where: str) -> list[int]:
        return [self.sign_in(name, WRONG, **where)[0] for _ in range(times)]


class TooManyTries(TheDoor):
    def test_shut_out_even_the_right_password_and_say_how_long(self) -> None:
        self.assertEqual(self.fails(10), [200] * 9 + [429])
        client = Client(REMOTE_ADDR="203.0.113.7")
        answer = client.post("/sign-in/", {"username": "alice", "password": RIGHT})
        self.assertContains(answer, "Wait 15 minutes", status_code=429)
        self.assertEqual(answer["Retry-After"], "900")
        self.assertNotIn("_auth_user_id", client.session)

    def test_say_nothing_of_whether_there_is_such_a_name(self) -> None:
        self.assertEqual(self.fails(10, "nobody"), [200] * 9 + [429])
        known = self.client_page("alice")
        self.assertEqual(self.client_page("nobody"), known)

    def client_page(self, name: str) -> str:
        self.fails(10, name)
        client = Client(REMOTE_ADDR="203.0.113.7")
        answer = client.post("/sign-in/", {"username": name, "password": WRONG})
        return re.sub(r'csrf\w+" value="\w+"', "", answer.content.decode())

    def test_hit_neither_the_owner_elsewhere_nor_others_at_the_address(self) -> None:
        self.fails(10)
        self.assertEqual(self.sign_in("alice", RIGHT, "203.0.113.8")[0], 302)
        self.assertEqual(self.sign_in("bob", RIGHT)[0], 302)

    def test_do_not_touch_the_desk_of_who_is_signed_in(self) -> None:
        _status, desk = self.sign_in("alice", RIGHT)
        self.ready()
        self.fails(12)
        page = self.page(desk)
        self.assertEqual(desk.post(page.urls[0], page.fields).status_code, 302)

    def test_are_forgotten_by_the_right_password(self) -> None:
        for _time in range(3):
            self.fails(9)
            self.assertEqual(self.sign_in("alice", RIGHT)[0], 302)

    def test_are_over_after_the_time_that_was_told(self) -> None:
        self.fails(10)
        # The hands of the clock: as if all of that had been 16 minutes ago.
        long_ago = timezone.now() - self.given.AXES_COOLOFF_TIME * 16 / 15
        AccessAttempt.objects.update(attempt_time=long_ago)
        self.assertEqual(self.sign_in("alice", RIGHT)[0], 302)

    def test_more_of_them_write_nothing_more(self) -> None:
        self.fails(10)
        before = AccessAttempt.objects.values().get()
        self.fails(5)
        self.assertEqual(AccessAttempt.objects.values().get(), before)
        self.assertNotIn(WRONG, str(before))

    def test_a_superuser_lets_them_in_again_on_the_list_of_accounts(self) -> None:
        self.fails(10)
        root = Client()
        root.force_login(User.objects.create_superuser("root"))
        act = {"action": "let_in_again", "_selected_action": [self.alice.pk]}
        answer = root.post("/admin/auth/user/", act, follow=True)
        self.assertContains(answer, "They may try again now.")
        self.assertEqual(self.sign_in("alice", RIGHT)[0], 302)

    def test_an_operator_lets_them_in_again_by_a_command(self) -> None:
        self.fails(10)
        call_command("axes_reset_username", "alice", verbosity=0)
        self.assertEqual(self.sign_in("alice", RIGHT)[0], 302)

    def test_an_odd_name_or_address_is_no_error(self) -> None:
        for name in ("", "\0", "x" * 10_000, "💥", "a'b\"c<d>"):
            with self.subTest(name=name[:10]):
                self.assertEqual(self.fails(1, name, address=""), [200])


class BehindAProxy(TheDoor):
    """All come from the proxy's address; whom it writes down is who tries."""

    def setUp(self) -> None:
        super().setUp()
        self.given.PROXIES = 1

    def via(self, forwarded: str) -> dict[str, Any]:
        return {"address": "127.0.0.1", "X-Forwarded-For": forwarded}

    def test_one_who_tries_is_told_from_another(self) -> None:
        self.fails(10, **self.via("203.0.113.7"))
        self.assertEqual(self.sign_in("alice", RIGHT, **self.via("203.0.113.7"))[0], 429)
        self.assertEqual(self.sign_in("alice", RIGHT, **self.via("203.0.113.8"))[0], 302)

    def test_what_the_caller_wrote_before_it_is_not_believed(self) -> None:
        for number in range(10):
            self.fails(1, **self.via(f"198.51.100.{number}, 203.0.113.7"))
        self.assertEqual(self.sign_in("alice", RIGHT, **self.via("8.8.8.8, 203.0.113.7"))[0], 429)

    def test_without_the_setting_the_header_is_not_read(self) -> None:
        self.given.PROXIES = 0
        for number in range(10):
            self.fails(1, **self.via(f"198.51.100.{number}"))
        self.assertEqual(self.sign_in("alice", RIGHT, **self.via("192.0.2.1"))[0], 429)

    def test_an_ipv6_house_is_one_caller(self) -> None:
        for number in range(10):
            self.fails(1, **self.via(f"2001:db8:1:2::{number:x}"))
        self.assertEqual(self.sign_in("alice", RIGHT, **self.via("2001:db8:1:2:ffff::"))[0], 429)
        self.assertEqual(self.sign_in("alice", RIGHT, **self.via("2001:db8:1:3::1"))[0], 302)
        self.assertEqual(self.fails(1, "bob", **self.via("nonsense")), [200])


class WrongTokens(TheDoor):
    def ask(self, text: str, address: str = "203.0.113.7") -> Any:
        client = Client(REMOTE_ADDR=address, headers={"Authorization": f"Bearer {text}"})
        return client.get(f"/api/v1/projects/{self.project.pk}/tags")

    def test_are_told_to_wait_and_right_ones_are_not(self) -> None:
        from redis import Redis

        for key in Redis.from_url(self.given.REDIS_URL).scan_iter("tagger:wrong:*"):
            Redis.from_url(self.given.REDIS_URL).delete(key)
        _token, text = token.make(self.project, self.alice, "a program", [Scope.READ], 1)
        # A window may end meanwhile: of 62 wrong ones, 31 are in one all the same.
        answers = [self.ask(f"tagger_wrong{number}") for number in range(62)]
        self.assertEqual(answers[0].status_code, 401)
        told = [answer for answer in answers if answer.status_code == 429]
        self.assertTrue(told)
        self.assertLessEqual(int(told[0]["Retry-After"]), 60)
        self.assertEqual(told[0]["Content-Type"], "application/problem+json")
        self.assertEqual(self.ask(text).status_code, 200)
        self.assertEqual(self.ask("tagger_wrong", "203.0.113.99").status_code, 401)


class ANewPassword(TheDoor):
    def change(self, client: Client) -> None:
        fields = {"old_password": RIGHT, "new_password1": "quite another one"}
        answer = client.post("/password", {**fields, "new_password2": "quite another one"})
        self.assertRedirects(answer, "/", fetch_redirect_response=False)

    def test_ends_every_other_session_and_keeps_this_one(self) -> None:
        _status, here = self.sign_in("alice", RIGHT)
        _status, there = self.sign_in("alice", RIGHT, "203.0.113.8")
        self.assertEqual(there.get("/").status_code, 200)
        self.change(here)
        self.assertEqual(here.get("/").status_code, 200)
        self.assertRedirects(there.get("/"), "/sign-in/?next=/", fetch_redirect_response=False)

    def test_given_by_a_superuser_ends_them_all(self) -> None:
        _status, here = self.sign_in("alice", RIGHT)
        root = Client()
        root.force_login(User.objects.create_superuser("root"))
        fields = {"password1": "from the superuser", "password2": "from the superuser"}
        url = f"/admin/auth/user/{self.alice.pk}/password/"
        self.assertEqual(root.post(url, {**fields, "usable_password": "true"}).status_code, 302)
        self.assertEqual(here.get("/").status_code, 302)
        self.assertEqual(self.sign_in("alice", "from the superuser")[0], 302)

    def test_leaves_programs_their_tokens(self) -> None:
        """They are keys of their own, made, seen and revoked on a page of their own."""
        _token, text = token.make(self.project, self.alice, "a program", [Scope.READ], 1)
        _status, here = self.sign_in("alice", RIGHT)
        self.change(here)
        asking = Client(headers={"Authorization": f"Bearer {text}"})
        url = f"/api/v1/projects/{self.project.pk}/tags"
        self.assertEqual(asking.get(url).status_code, 200)
        User.objects.filter(pk=self.alice.pk).update(is_active=False)
        self.assertEqual(asking.get(url).status_code, 401)

    def test_an_account_that_was_shut_is_out_at_once(self) -> None:
        _status, here = self.sign_in("alice", RIGHT)
        User.objects.filter(pk=self.alice.pk).update(is_active=False)
        self.assertEqual(here.get("/").status_code, 302)
        self.assertEqual(self.sign_in("alice", RIGHT)[0], 200)


class SignUp(HouseTestCase):
    def test_is_nowhere(self) -> None:
        """Everything that a form of an account might carry, to every address, signed out."""
        before = list(User.objects.values_list("pk", "is_superuser", "password").order_by("pk"))
        fields = {
            **dict.fromkeys(("username", "name", "email", "user"), "intruder"),
            **dict.fromkeys(("password", "password1", "password2"), "a very long passphrase"),
            "role": Role.OWNER,
            "new": "1",
            "is_superuser": "on",
            "act": "begin",
        }
        paths = [row[0].format_map(Anything()) for row in TABLE.values()]
        guessed = ("sign-up", "signup", "register", "accounts/signup", "admin/auth/user/add")
        for path in {*paths, *(f"/{name}/" for name in guessed)}:
            with self.subTest(path=path):
                Client().post(path, fields)
        after = list(User.objects.values_list("pk", "is_superuser", "password").order_by("pk"))
        self.assertEqual(after, before)


class Anything(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "1"

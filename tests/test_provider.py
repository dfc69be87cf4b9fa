"""Signing in at the house's own provider: who comes in, who does not, and what is not there."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.checks import run_checks
from django.test import Client
from django.urls import NoReverseMatch, get_resolver, reverse
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings

from review.pipeline.erase import erase
from review.pipeline.identity import untie

from .base import HouseTestCase
from .fake_provider import CLIENT_ID, SECRET, FakeProvider, rsa_key

ROOT = Path(__file__).resolve().parent.parent
GO, BACK = "/sign-in/provider/", "/sign-in/provider/back/"
NOBODY = "There is no account here with your address."
ODD = "is away, or does not answer as it should"


class TheProvider(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _provider(self, settings: Settings) -> Iterator[None]:
        self.fake = FakeProvider()
        self.given = settings
        settings.OIDC_URL = self.fake.url
        settings.OIDC_CLIENT_ID = CLIENT_ID
        settings.OIDC_SECRET = SECRET
        settings.OIDC_NAME = "the House"
        yield
        self.fake.close()

    def setUp(self) -> None:
        super().setUp()
        self.client = Client()
        User.objects.filter(pk=self.alice.pk).update(email="Alice@example.org")

    def there(self, client: Client, **fields: str) -> str:
        """To the provider; the address that it sends a browser back to."""
        gone: Any = client.get(GO, fields)
        self.assertEqual(gone.status_code, 302, gone.content)
        where = urlsplit(gone["Location"])
        self.assertEqual(f"{where.scheme}://{where.netloc}", self.fake.url[: -len("/realms/house")])
        connection = http.client.HTTPConnection(where.netloc, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", f"{where.path}?{where.query}")
        sent = connection.getresponse().headers["Location"]
        self.assertTrue(sent.startswith(f"http://testserver{BACK}?"), sent)
        return str(sent.removeprefix("http://testserver"))

    def sign_in(self, client: Client | None = None, **fields: str) -> Any:
        client = client or self.client
        return client.get(self.there(client, **fields))

    def who(self, client: Client | None = None) -> str:
        key = (client or self.client).session.get("_auth_user_id")
        return User.objects.get(pk=key).username if key else ""

    def assert_refused(self, answer: Any, why: str, status: int = 403) -> None:
        self.assertContains(answer, why, status_code=status)
        self.assertContains(answer, 'name="password"', status_code=status)  # the way in is there
        self.assertEqual(self.who(), "")
        self.assertIn("no-store", answer["Cache-Control"])
        self.assertIn("script-src 'self'", answer["Content-Security-Policy"])


class WhoIsKnown(TheProvider):
    def test_comes_in_by_the_button_of_the_sign_in_page(self) -> None:
        page = self.client.get("/sign-in/", {"next": "/history?a=1&b=2"}).content.decode()
        found = re.search(r'href="(/sign-in/provider/[^"]*)">Sign in with the House<', page)
        assert found is not None, page
        self.assertEqual(found.group(1), f"{GO}?next=%2Fhistory%3Fa%3D1%26b%3D2")
        answer = self.sign_in(next="/history?a=1&b=2")
        self.assertRedirects(answer, "/history?a=1&b=2")
        self.assertEqual(self.who(), "alice")

    def test_is_asked_for_no_more_than_who_they_are(self) -> None:
        gone: Any = self.client.get(GO)
        asked = {k: v[0] for k, v in parse_qs(urlsplit(gone["Location"]).query).items()}
        self.assertEqual(set(asked.pop("scope").split()), {"openid", "email"})
        for random in ("state", "nonce", "code_challenge"):
            self.assertGreaterEqual(len(asked.pop(random)), 16)
        self.assertEqual(
            asked,
            {
                "client_id": CLIENT_ID,
                "redirect_uri": f"http://testserver{BACK}",
                "response_type": "code",
                "code_challenge_method": "S256",
            },
        )

    def test_has_a_session_of_the_usual_length_and_of_a_new_name(self) -> None:
        back = self.there(self.client)
        before = self.client.session.session_key
        self.client.get(back)
        session = self.client.session
        self.assertNotEqual(session.session_key, before)
        self.assertFalse(Session.objects.filter(session_key=before).exists())
        self.assertEqual(session.get_expiry_age(), self.given.SESSION_COOKIE_AGE)
        self.assertEqual(
            set(session.keys()), {"_auth_user_id", "_auth_user_backend", "_auth_user_hash"}
        )

    def test_is_tied_and_from_then_on_the_address_decides_nothing(self) -> None:
        self.sign_in()
        tie = SocialAccount.objects.get()
        self.assertEqual((tie.user, tie.extra_data), (self.alice, {}))
        self.assertNotIn(self.fake.person["sub"], tie.uid)
        self.fake.person |= {"email": "bob@example.org", "email_verified": False}
        User.objects.filter(pk=self.bob.pk).update(email="bob@example.org")
        client = Client()
        self.assertRedirects(self.sign_in(client), "/")
        self.assertEqual(self.who(client), "alice")
        self.assertEqual(SocialAccount.objects.count(), 1)

    def test_may_be_told_of_by_another_page_of_the_provider(self) -> None:
        self.fake.thin = True
        self.sign_in()
        self.assertEqual(self.who(), "alice")
        self.assertIn("/userinfo", self.fake.asked)

    def test_keeps_the_password_and_gets_no_mail_and_no_rights(self) -> None:
        self.sign_in()
        self.alice.refresh_from_db()
        self.assertTrue(self.alice.check_password("a long passphrase"))
        self.assertFalse(self.alice.is_superuser or self.alice.is_staff)
        from django.core import mail

        self.assertEqual(mail.outbox, [])

    def test_goes_to_no_other_site_afterwards(self) -> None:
        for place in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
            with self.subTest(place=place):
                client = Client()
                answer = self.sign_in(client, next=place)
                self.assertRedirects(answer, "/", fetch_redirect_response=False)

    def test_is_led_on_where_they_are_in_already(self) -> None:
        self.client.force_login(self.bob)
        self.assertRedirects(self.client.get(GO), "/", fetch_redirect_response=False)
        self.assertEqual(self.fake.asked, [])

    def test_is_not_signed_in_by_another_sites_link(self) -> None:
        gone = self.client.get(GO, headers={"Sec-Fetch-Site": "cross-site"})
        self.assertRedirects(gone, "/sign-in/")

    def test_still_gives_the_second_factor_at_the_admins_door(self) -> None:
        root = User.objects.create_superuser("root", email="root@example.org")
        TOTPDevice.objects.create(user=root, name="telephone", confirmed=True)
        self.fake.person |= {"sub": "1", "email": "root@example.org"}
        answer = self.sign_in(next="/admin/review/tag/")
        self.assertRedirects(answer, "/admin/review/tag/", fetch_redirect_response=False)
        self.assertEqual(self.who(), "root")
        asked: Any = self.client.get("/admin/review/tag/", follow=True)
        self.assertContains(asked, "Type the six digits")

    def test_is_not_shut_out_by_wrong_passwords_of_somebody_else(self) -> None:
        for _time in range(10):
            last = Client().post("/sign-in/", {"username": "alice", "password": "wrong"})
        self.assertEqual(last.status_code, 429)
        self.sign_in()
        self.assertEqual(self.who(), "alice")

    def test_is_forgotten_by_a_superuser_and_by_being_erased(self) -> None:
        self.sign_in()
        root = Client()
        root.force_login(User.objects.create_superuser("root"))
        act = {"action": "untie", "_selected_action": [self.alice.pk]}
        answer = root.post("/admin/auth/user/", act, follow=True)
        self.assertContains(answer, "1 tie was forgotten.")
        self.assertFalse(untie(self.alice))
        self.fake.person["sub"] = "another"
        client = Client()
        self.sign_in(client)
        self.assertEqual(self.who(client), "alice")
        erase(self.alice)
        self.assertFalse(SocialAccount.objects.exists())
        self.assert_refused(self.sign_in(), NOBODY)


class WhoIsNot(TheProvider):
    def test_is_refused_with_a_sentence_and_gets_no_account(self) -> None:
        self.fake.person["email"] = "mallory@example.org"
        self.assert_refused(self.sign_in(), NOBODY)
        self.assertFalse(User.objects.filter(email="mallory@example.org").exists())
        self.assertFalse(SocialAccount.objects.exists())

    def test_an_address_that_was_not_verified_never_matches(self) -> None:
        unsaid: list[Any] = [False, None, "false", "yes", 0, [], {"a": 1}]
        for said in unsaid:
            for thin in (False, True):
                with self.subTest(said=said, thin=thin):
                    self.fake.thin = thin
                    self.fake.person["email_verified"] = said
                    self.assert_refused(self.sign_in(), "is really yours")
        del self.fake.person["email_verified"]
        self.assert_refused(self.sign_in(), "is really yours")

    def test_without_an_address_there_is_no_match_with_accounts_that_have_none(self) -> None:
        self.fake.person["email"] = ""
        self.assert_refused(self.sign_in(), "is really yours")
        del self.fake.person["email"]
        self.assert_refused(self.sign_in(), "is really yours")

    def test_a_letter_that_only_looks_alike_is_another_address(self) -> None:
        for address in ("alıce@example.org", "alice@example.org ", "alice@exam\u200bple.org"):
            with self.subTest(address=address):
                self.fake.person["email"] = address
                self.assert_refused(self.sign_in(), NOBODY)

    def test_an_account_that_is_shut_stays_shut(self) -> None:
        User.objects.filter(pk=self.alice.pk).update(is_active=False)
        self.assert_refused(self.sign_in(), NOBODY)
        User.objects.filter(pk=self.alice.pk).update(is_active=True)
        self.sign_in()
        User.objects.filter(pk=self.alice.pk).update(is_active=False)
        self.client = Client()
        self.assert_refused(self.sign_in(), NOBODY)

    def test_an_address_of_two_accounts_is_nobodys(self) -> None:
        User.objects.filter(pk=self.bob.pk).update(email="alice@example.org")
        self.assert_refused(self.sign_in(), "Several accounts")

    def test_an_address_that_was_passed_on_does_not_open_the_account(self) -> None:
        self.sign_in()
        self.client = Client()
        self.fake.person["sub"] = "her successor"
        self.assert_refused(self.sign_in(), "belongs to somebody else there")
        self.assertEqual(SocialAccount.objects.count(), 1)

    def test_cannot_take_over_by_the_same_number_at_another_provider(self) -> None:
        self.sign_in()
        self.client = Client()
        another = FakeProvider()
        self.addCleanup(another.close)
        another.person = {**self.fake.person, "email": "mallory@example.org"}
        self.fake, self.given.OIDC_URL = another, another.url
        self.assert_refused(self.sign_in(), NOBODY)


class OnTheWay(TheProvider):
    def test_who_says_no_there_is_told_so(self) -> None:
        self.fake.refuses = "access_denied"
        self.assert_refused(self.sign_in(), "the House did not let you in.")

    def test_a_way_back_that_was_not_begun_here_is_refused(self) -> None:
        back = self.there(self.client)
        self.client = Client()  # another browser
        self.assert_refused(self.client.get(back), "begun elsewhere")
        self.assertNotIn("/token", self.fake.asked)
        for path in (BACK, f"{BACK}?code=1", f"{BACK}?code=1&state=", f"{BACK}?state=x&code=%00"):
            with self.subTest(path=path):
                self.assert_refused(self.client.get(path), "begun elsewhere")

    def test_another_state_is_refused_and_the_right_one_works_once(self) -> None:
        back = self.there(self.client)
        fields = {k: v[0] for k, v in parse_qs(urlsplit(back).query).items()}
        wrong = f"{BACK}?{urlencode({**fields, 'state': 'x' + fields['state'][1:]})}"
        self.assert_refused(self.client.get(wrong), "begun elsewhere")
        self.client.get(back)
        self.assertEqual(self.who(), "alice")
        self.client.logout()
        self.assert_refused(self.client.get(back), "begun elsewhere")

    def test_a_code_that_was_given_to_another_visit_is_refused(self) -> None:
        """Stolen, and sent with the thief's own state."""
        theirs = parse_qs(urlsplit(self.there(Client())).query)["code"][0]
        mine = parse_qs(urlsplit(self.there(self.client)).query)["state"][0]
        answer = self.client.get(BACK, {"code": theirs, "state": mine})
        self.assert_refused(answer, ODD, 502)

    def test_after_ten_minutes_it_has_to_be_begun_again(self) -> None:
        back = self.there(self.client)
        session = self.client.session
        session["socialaccount_states"] = {
            name: (state, at - 601, of)
            for name, (state, at, of) in session["socialaccount_states"].items()
        }
        session.save()
        self.assert_refused(self.client.get(back), "begun elsewhere")

    def test_a_token_that_is_not_for_us_or_not_of_now_is_refused(self) -> None:
        now = int(time.time())
        for changed in (
            {"nonce": "of another visit"},
            {"nonce": None},
            {"aud": "another program"},
            {"aud": [CLIENT_ID, "another"], "azp": "another"},
            {"iss": "https://evil.example"},
            {"exp": now - 3600, "iat": now - 7200},
            {"iat": now + 3600},
            {"sub": None},
            {"exp": None},
        ):
            with self.subTest(changed=changed):
                self.fake.twist = lambda claims, by=changed: {  # type: ignore[misc]
                    name: value for name, value in {**claims, **by}.items() if value is not None
                }
                self.assert_refused(self.sign_in(), ODD, 502)

    def test_a_token_that_another_has_signed_is_refused(self) -> None:
        for key, headers in (
            (rsa_key("of a stranger"), {"kid": "first"}),
            (rsa_key("of a stranger"), {"kid": "strange"}),
            (rsa_key("its own"), {"kid": "old"}),
            (rsa_key("its own"), {}),  # which of the two?
        ):
            with self.subTest(headers=headers):
                self.fake.signed_with, self.fake.headers = key, headers
                self.assert_refused(self.sign_in(), ODD, 502)

    def test_a_token_without_a_secret_half_is_refused(self) -> None:
        import jwt

        def forged(algorithm: str, key: Any) -> Any:
            def make(asked: dict[str, str]) -> str:
                now = int(time.time())
                claims = {**self.fake.person, "iss": self.fake.url, "aud": CLIENT_ID, "iat": now}
                claims |= {"exp": now + 300, "nonce": asked["nonce"]}
                return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "first"})

            return make

        for make in (forged("none", None), forged("HS256", SECRET * 2), lambda asked: "no token"):
            self.fake.id_token = make  # type: ignore[method-assign]
            self.assert_refused(self.sign_in(), ODD, 502)

    def test_two_persons_in_one_answer_are_refused(self) -> None:
        self.fake.thin, self.fake.info = True, {"sub": "another"}
        self.assert_refused(self.sign_in(), ODD, 502)

    def test_whatever_the_provider_answers_is_a_sentence(self) -> None:
        for path in ("/token", "/jwks", "/userinfo"):
            for answer in (
                *((500, b"{}"), (404, b""), (200, b""), (200, b"[]"), (200, b"null")),
                *((200, b"{}"), (200, b'{"keys": 1}'), (200, b"\xff\xfe"), (200, b"<html>")),
                (200, b'{"access_token": 1, "id_token": 2, "expires_in": "x"}'),
            ):
                with self.subTest(path=path, answer=answer):
                    self.fake.thin = True
                    self.fake.answers = {path: answer}
                    self.assert_refused(self.sign_in(), ODD, 502)

    def test_a_provider_that_is_away_or_another_is_a_sentence(self) -> None:
        path = "/.well-known/openid-configuration"
        for answer in ((500, b"{}"), (200, b"[]"), (200, b"{}"), (200, b"<html>")):
            with self.subTest(answer=answer):
                self.fake.answers = {path: answer}
                self.assert_refused(self.client.get(GO), ODD, 502)
        self.fake.answers = {}
        for changed in ({"issuer": "https://evil.example"}, {"jwks_uri": None}):
            with self.subTest(changed=changed):
                self.fake.configuration = changed
                self.assert_refused(self.client.get(GO), ODD, 502)
        self.given.OIDC_URL = "http://127.0.0.1:1"
        self.assert_refused(self.client.get(GO), ODD, 502)

    def test_many_visitors_do_not_make_us_ask_each_time(self) -> None:
        for _time in range(5):
            self.client.get(GO)
        self.assertEqual(self.fake.asked, ["/.well-known/openid-configuration"])

    def test_a_wrong_secret_is_in_no_log(self) -> None:
        self.given.OIDC_SECRET = "marked-wrong-secret-90f1"
        with self.assertLogs("review.views.provider", logging.WARNING) as logs:
            self.assert_refused(self.sign_in(), ODD, 502)
        told = "".join(map(str, [logs.output, [record.exc_text for record in logs.records]]))
        self.assertIn("invalid_client", told)
        self.assertNotIn("marked", told)


class WhereItIsOff(HouseTestCase):
    def test_there_is_no_button_and_no_address(self) -> None:
        client = Client()
        page = client.get("/sign-in/")
        self.assertNotContains(page, "provider")
        for path in (GO, BACK, f"{BACK}?code=1&state=2"):
            self.assertEqual(client.get(path).status_code, 404)

    def test_nothing_else_of_allauth_has_an_address_ever(self) -> None:
        for name in (
            *("account_signup", "account_login", "account_reset_password", "account_email"),
            *("socialaccount_signup", "socialaccount_connections", "openid_connect_login"),
        ):
            with self.assertRaises(NoReverseMatch):
                reverse(name)
        told = str(get_resolver().url_patterns)
        self.assertNotIn("allauth", told)
        for path in ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"):
            self.assertEqual(Client().get(path).status_code, 404)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, []),
        ({"OIDC_URL": "https://a.example"}, ["tagger.E007"]),
        ({"OIDC_SECRET": "x"}, ["tagger.E007"]),
        ({"OIDC_URL": "http://a.example", "OIDC_CLIENT_ID": "x", "OIDC_SECRET": "x"}, ["E008"]),
        ({"OIDC_URL": "http://127.0.0.1:1", "OIDC_CLIENT_ID": "x", "OIDC_SECRET": "x"}, []),
        ({"OIDC_URL": "https://a.example", "OIDC_CLIENT_ID": "x", "OIDC_SECRET": "x"}, []),
    ],
)
def test_what_is_half_set_or_open_to_all_is_refused(
    settings: Settings, given: dict[str, str], found: list[str]
) -> None:
    for name, value in given.items():
        setattr(settings, name, value)
    ids = [str(message.id) for message in run_checks()]
    assert [one.removeprefix("tagger.") for one in ids] == [
        one.removeprefix("tagger.") for one in found
    ]


def test_the_environment_switches_it_on(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    ask = (
        "import json; from django.conf import settings; from review.views import provider; "
        "print(json.dumps([provider.name(), settings.OIDC_URL, settings.OIDC_CLIENT_ID]))"
    )
    for more, name in (({}, "sso.example.org"), ({"TAGGER_OIDC_NAME": "Us"}, "Us")):
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", ask],
            cwd=ROOT,
            env={
                **kept,
                "TAGGER_VAR": str(tmp_path),
                "TAGGER_OIDC_URL": "https://sso.example.org/",
                "TAGGER_OIDC_CLIENT_ID": "tagger",
                "TAGGER_OIDC_SECRET": "x" * 20,
                **more,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert json.loads(done.stdout) == [name, "https://sso.example.org", "tagger"], done.stderr

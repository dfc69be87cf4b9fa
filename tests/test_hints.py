"""Redis away: people go on reviewing, and a sign-out holds."""

from __future__ import annotations

from django.test import override_settings

from review.models import Decision

from .base import HouseTestCase

NOWHERE = {
    "default": {
        "BACKEND": "tagger_site.hints.Hints",
        "LOCATION": "redis://127.0.0.1:1/0",  # nobody listens there
        "OPTIONS": {"socket_connect_timeout": 0.5},
    }
}


class WithoutRedis(HouseTestCase):
    def test_a_signed_in_reviewer_picks_on(self) -> None:
        self.ready()
        with override_settings(CACHES=NOWHERE):
            page = self.page()
            self.client.post(page.urls[0], page.fields)
        self.assertEqual(Decision.objects.count(), 1)

    def test_signing_in_and_out_work(self) -> None:
        with override_settings(CACHES=NOWHERE):
            self.client.logout()
            given = {"username": "alice", "password": "a long passphrase"}
            self.assertEqual(self.client.post("/sign-in/", given).status_code, 302)
            self.assertEqual(self.client.get("/").status_code, 200)
            session = self.client.cookies["sessionid"].value
            self.client.post("/sign-out/")
            self.client.cookies["sessionid"] = session  # a copy that somebody kept
            self.assertEqual(self.client.get("/").status_code, 302)


class WithRedis(HouseTestCase):
    def test_a_copy_of_a_session_is_worth_nothing_after_the_sign_out(self) -> None:
        self.client.get("/")
        session = self.client.cookies["sessionid"].value
        self.client.post("/sign-out/")
        self.client.cookies["sessionid"] = session
        self.assertEqual(self.client.get("/").status_code, 302)

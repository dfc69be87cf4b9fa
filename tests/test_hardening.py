"""The settings of production, and the headers of every kind of answer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path
from pytest_django import Settings

from review.models import Role
from tagger_site import urls
from tagger_site.settings import no_example

from .base import HouseTestCase
from .permissions_table import ADMIN, TABLE
from .test_admin import Rows

ROOT = Path(__file__).resolve().parent.parent
GOOD_KEY = "Zq8w1xY7v6UtS5rR4-pO3nM2lK1jI0hG9fE8dC7bA6_5z4X3w2V1u"
INLINE = re.compile(
    r"<script(?![^>]*\ssrc=)(?![^>]*type=\"application/json\")|<style|\sstyle=|\son\w+="
    r"|javascript:|\shx-on|\shx-vals=\"js:",
    re.IGNORECASE,
)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TAGGER_VAR")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=kept | {"DATABASE_URL": "sqlite://"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_djangos_own_check_finds_nothing_in_the_settings_of_production() -> None:
    done = command(
        *("check", "--deploy", "--fail-level", "WARNING"),
        TAGGER_SECRET_KEY=GOOD_KEY,
        TAGGER_HTTPS="1",
        TAGGER_HOSTS="tags.example.org",
        TAGGER_ORIGINS="https://tags.example.org",
    )
    assert done.returncode == 0, done.stderr


def test_that_check_fails_without_https_and_for_nothing_else() -> None:
    done = command("check", "--deploy", "--fail-level", "WARNING", TAGGER_SECRET_KEY=GOOD_KEY)
    assert done.returncode == 1
    of_https = {"security.W004", "security.W008", "security.W012", "security.W016"}
    assert set(re.findall(r"security\.W\d+", done.stderr)) == of_https


def test_with_a_key_from_an_example_nothing_starts() -> None:
    done = command("check", TAGGER_SECRET_KEY="django-insecure-" + GOOD_KEY)
    assert done.returncode == 1
    assert "The key in TAGGER_SECRET_KEY is an example that others know" in done.stderr
    assert GOOD_KEY not in done.stderr


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("Tag-9", "too short"),
        ("a" * 100, "too short"),
        ("Change-Me-0123456789-abcdefghijklmnopqrst", "an example that others know"),
    ],
)
def test_a_key_that_others_could_know_is_refused_in_a_sentence(key: str, told: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"The key in K is {told}") as refused:
        no_example(key, "K")
    assert key not in str(refused.value)


def test_debug_is_off_unless_asked_for(settings: Settings) -> None:
    assert not settings.DEBUG
    assert not settings.SECURE_SSL_REDIRECT


@pytest.mark.parametrize("host", ["*", ".example.org"])
def test_a_host_that_stands_for_many_is_refused(settings: Settings, host: str) -> None:
    settings.ALLOWED_HOSTS = ["tags.example.org", host]
    assert [message.id for message in run_checks()] == ["tagger.E004"]


def test_a_word_that_the_second_factor_does_not_know_is_refused(settings: Settings) -> None:
    settings.ADMIN_MFA = "yes"
    assert [message.id for message in run_checks()] == ["tagger.E005"]


def test_on_plain_http_all_goes_on_without_secure_cookies(client: Client, db: Any) -> None:
    answer = client.get("/sign-in/")
    assert answer.status_code == 200
    assert not client.cookies["csrftoken"]["secure"]
    assert "Strict-Transport-Security" not in answer.headers


# What TAGGER_HTTPS sets: the test above sees that check --deploy agrees.
TLS: dict[str, Any] = {
    "SECURE_SSL_REDIRECT": True,
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SECURE_HSTS_SECONDS": 31536000,
    "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
}


@override_settings(**TLS)
def test_behind_tls_http_leads_to_https_and_cookies_stay_there(client: Client, db: Any) -> None:
    answer = client.get("/sign-in/")
    assert (answer.status_code, answer["Location"]) == (301, "https://testserver/sign-in/")
    by_proxy = Client(headers={"X-Forwarded-Proto": "https"})
    answer = by_proxy.get("/sign-in/")
    assert answer.status_code == 200
    assert by_proxy.cookies["csrftoken"]["secure"]
    assert answer["Strict-Transport-Security"].startswith("max-age=31536000")
    for inside in ("/livez", "/readyz", "/metrics"):  # asked without the proxy
        assert client.get(inside).status_code != 301


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("A fault that a test makes.")


class Broken:
    """The site's addresses, and two that break."""

    urlpatterns = [path("broken", broken), path("api/v1/broken", broken), *urls.urlpatterns]


class EveryAnswer(Rows):
    def setUp(self) -> None:
        super().setUp()
        self.olga = self.people["owner"]
        assert self.olga is not None
        self.client = Client(raise_request_exception=False)
        self.client.force_login(self.olga)

    def assert_headers(self, what: str, answer: Any) -> None:
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy, what)
        self.assertIn("script-src 'self';", policy + ";", what)
        self.assertIn("frame-ancestors 'none'", policy, what)
        self.assertNotIn("unsafe", policy, what)
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff", what)
        self.assertEqual(headers["X-Frame-Options"], "DENY", what)
        self.assertEqual(headers["Referrer-Policy"], "same-origin", what)
        self.assertEqual(headers["Cross-Origin-Opener-Policy"], "same-origin", what)
        self.assertIn("camera=()", headers["Permissions-Policy"], what)
        self.assertNotIn("Access-Control-Allow-Origin", headers, what)

    def test_of_every_address_has_them_and_no_page_holds_a_script_or_a_style(self) -> None:
        pages = 0
        for table in (TABLE, ADMIN):
            for what in table:
                with self.subTest(what=what):
                    method, _name = what.split()
                    place = table[what][0].format(**self.things | self.of(table))
                    ask = self.client.get if method == "GET" else self.client.post
                    answer: Any = ask(place) if what != "POST sign_out" else self.client.get(place)
                    self.assert_headers(what, answer)
                    kind = answer.headers.get("Content-Type", "text/html")
                    if kind.startswith("text/html") and not answer.streaming:
                        pages += 1
                        self.assertIsNone(INLINE.search(answer.content.decode()), what)
        self.assertGreater(pages, 80)

    def of(self, table: object) -> dict[str, Any]:
        return {} if table is ADMIN else {"document": self.target.external_id}

    def test_errors_files_and_the_api_have_them_too(self) -> None:
        answers = {
            "400": (self.client.get("/", headers={"Host": "elsewhere.example"}), 400),
            "400 of the API": (
                self.client.get("/api/v1/x", headers={"Host": "elsewhere.example"}),
                400,
            ),
            "403 by CSRF": (self.csrf(), 403),
            "404": (self.client.get("/nowhere"), 404),
            "404 of the API": (self.client.get("/api/v1/nowhere"), 404),
            "405": (self.client.get("/undo"), 405),
            "401 of the API": (self.client.get(self.api("tags")), 401),
            "its document": (self.client.get("/api/v1/openapi.json"), 200),
            "a script": (self.client.get("/static/review/desk.js"), 200),
            "a style": (self.client.get("/static/review/desk.css"), 200),
            "a picture": (self.client.get("/static/review/favicon.svg"), 200),
        }
        with override_settings(ROOT_URLCONF=Broken):
            answers["500"] = (self.client.get("/broken"), 500)
            answers["500 of the API"] = (self.client.get("/api/v1/broken"), 500)
        for what, (answer, status) in answers.items():
            with self.subTest(what=what):
                self.assertEqual(answer.status_code, status)
                self.assert_headers(what, answer)
                self.assertNotIn("A fault that a test makes", getattr(answer, "text", ""))

    def api(self, name: str) -> str:
        return f"/api/v1/projects/{self.project.pk}/{name}"

    def csrf(self) -> Any:
        strict = Client(enforce_csrf_checks=True)
        return strict.post("/sign-in/", {"username": "alice", "password": "a long passphrase"})

    def test_to_other_methods_is_no_more_than_to_the_known_ones(self) -> None:
        """HEAD is a GET without a body; a method that an address does not know changes nothing."""
        for who in ("signed out", "no project", "owner"):
            client = Client()
            user = self.people[who]
            if user is not None:
                client.force_login(user)
            for what, (place, *_answers) in TABLE.items():
                url = place.format(**self.things | self.of(TABLE))
                for method in ("put", "patch", "delete", "trace"):
                    with self.subTest(what=what, method=method, who=who):
                        status = getattr(client, method)(url).status_code
                        self.assertIn(status, (302, 401, 403, 404, 405))
                if what.startswith("GET ") and who == "signed out":
                    with self.subTest(what=what, method="head", who=who):
                        head = client.head(url).status_code
                        self.assertEqual(head, client.get(url).status_code)
        self.assertTrue(self.nothing_happened())


class Downloads(HouseTestCase):
    """A file that came in goes out as a file: never shown, never guessed at."""

    def setUp(self) -> None:
        super().setUp()
        self.client.force_login(self.member("olga", Role.OWNER))

    def test_problems_of_an_upload_are_a_file_to_keep(self) -> None:
        from django.core.files.uploadedfile import SimpleUploadedFile

        from review.models import Import

        evil = "<script>alert(1)</script>\n=HYPERLINK(1)\n"
        upload = SimpleUploadedFile("<script>alert(1)</script>.jsonl", evil.encode(), "text/html")
        self.client.post("/imports/bring", {"file": upload})
        found = Import.objects.get()
        answer = self.client.get(f"/imports/{found.pk}/errors.csv")
        self.assert_a_file(answer)

    def assert_a_file(self, answer: Any) -> None:
        self.assertEqual(answer.status_code, 200)
        self.assertRegex(answer["Content-Disposition"], "^attachment")
        self.assertEqual(answer["X-Content-Type-Options"], "nosniff")
        self.assertNotIn("html", answer["Content-Type"])

    def test_tables_and_tag_lists_are_files_to_keep(self) -> None:
        self.assert_a_file(self.client.get("/insight/position.csv"))
        of = f"/admin/review/tag/of/{self.project.pk}/export"
        for form in ("csv", "json", "yaml", "turtle"):
            with self.subTest(form=form):
                answer = self.client.get(f"{of}/{form}/")
                if answer.status_code == 404:
                    continue  # not a form of ours
                self.assert_a_file(answer)

    def test_a_documents_text_is_never_an_answer_of_its_own(self) -> None:
        text = "<script>alert(1)</script><h1>Hello</h1>"
        self.document("evil", text)
        raw = self.client.get("/raw/evil")
        self.assertContains(raw, "&lt;script&gt;alert(1)&lt;/script&gt;")
        self.assertNotContains(raw, "<script>alert")
        answer = self.client.get("/documents/evil.json")
        self.assertEqual(json.loads(answer.content), {"id": "evil", "tags": []})
        self.assertEqual(answer["Content-Type"], "application/json")

"""Every page that renders anything is full of tests/browser/xss.py: nothing runs, nobody is told.

The browser asks no server: each of its requests is handed to Django in the test's own process,
and one for another host is written down.
"""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connections, models, transaction
from playwright.sync_api import Browser, Dialog, Page, Request, Route

from review.models import (
    Candidate,
    Document,
    DocumentState,
    Membership,
    Role,
    Tag,
)
from review.pipeline.intake import take_in
from review.pipeline.note import leave
from review.pipeline.propose import propose
from review.readers import Incoming
from tests.fake_model import Reply, tags
from tests.permissions_table import ADMIN, TABLE, WHO
from tests.test_admin import Rows

from .xss import EVIL, SWALLOWERS, VECTORS

ORIGIN = "http://testserver"
WATCH = "window.RAN = []; window.ran = () => window.RAN.push(document.title || '?');"
LOADING = "[src],[srcset],[poster],[background],object,embed"
ALONE = [vector for vector in VECTORS if vector not in SWALLOWERS]
# Columns whose words the program itself obeys: they are nobody's to write.
OURS = re.compile(r"sha256|secret$|hash|state|kind|verb|^prompt|prompt_version|method|event|parts")


def chunks(vectors: list[str], size: int) -> list[list[str]]:
    return [vectors[start : start + size] for start in range(0, len(vectors), size)]


# Documents whose text holds many: a vector that swallows what follows ends its document.
TEXTS = [
    *("\n\n".join(chunk) for chunk in chunks(ALONE, 30)),
    *(f"First.\n\n{vector}" for vector in SWALLOWERS),
]


class HostileWorld(Rows):
    @pytest.fixture(autouse=True)
    def _browser(self, browser: Browser) -> None:
        self.browser = browser

    def setUp(self) -> None:
        super().setUp()
        self.chance = itertools.cycle(VECTORS)  # each its turn
        olga = self.people["owner"]
        assert olga is not None
        olga.is_superuser = True
        olga.save()
        self.olga = olga
        self.client.force_login(olga)
        self.hostile_people()
        self.hostile_documents()
        upload = SimpleUploadedFile(f"{VECTORS[0][:80]}.jsonl", "\n".join(VECTORS).encode())
        self.client.post("/imports/bring", {"file": upload})
        self.client.post("/people/add", {"name": VECTORS[0], "role": Role.REVIEWER})
        self.fill_all()

    def hostile_people(self) -> None:
        names = [vector for vector in VECTORS if len(vector) <= 140 and "\0" not in vector]
        for number, name in enumerate(names[:40]):
            user = User.objects.create(username=f"{name}{number}", first_name=name[:100])
            Membership.objects.create(project=self.project, user=user, role=Role.REVIEWER)

    def hostile_documents(self) -> None:
        """A document for each vector: its title, its id, its source; some with many in the text."""
        texts = itertools.chain(TEXTS, itertools.repeat("Words."))
        take_in(
            self.project,
            [
                Incoming(f"{number} {vector}"[:500], text, title=vector[:500], source=vector)
                for (number, vector), text in zip(enumerate(VECTORS), texts, strict=False)
            ],
        )
        self.name_tags()
        own = itertools.cycle(self.project.tags.order_by("number"))
        waiting = self.project.documents.filter(state=DocumentState.WAITING)
        for document in waiting.order_by("pk")[: len(TEXTS) + 3]:
            sets = [tags(next(own).name, next(own).name) for _set in range(3)]
            self.model.default = Reply(contents=list(sets))
            propose(document.pk)
        said = "\n".join(VECTORS)
        Candidate.objects.update(raw_reply=said)
        for vector in VECTORS:
            leave(self.project, self.bob, vector[:200])

    def name_tags(self) -> None:
        """One each for as many as there are, with a list of all in the descriptions."""
        short = [" ".join(vector.split()) for vector in VECTORS if len(vector) <= 95]
        names = {name.casefold(): name for name in short if len(name) > 3}
        for tag, name in zip(self.project.tags.order_by("number"), names.values(), strict=False):
            words = {"description": next(self.chance), "not_for": next(self.chance)}
            Tag.objects.filter(pk=tag.pk).update(name=name, **words)

    def fill_all(self) -> None:
        """Every other text that a column can hold, of every model there is or will be."""
        filled = 0
        for model in apps.get_app_config("review").get_models():
            if model in (Document, Tag, Candidate):
                continue  # above, as they come in
            for field in model._meta.concrete_fields:
                text = isinstance(field, models.CharField | models.TextField)
                if not text or field.choices or OURS.search(field.name):
                    continue
                for row in model._default_manager.all()[:60]:
                    filled += self.fill(row, field)
        assert filled > 100

    def fill(self, row: models.Model, field: Any) -> bool:
        room = min(field.max_length or 20_000, 20_000)
        fitting = "\n".join(vector for vector in ALONE) if room == 20_000 else next(self.chance)
        if field.unique:
            fitting = f"{row.pk} {fitting}"
        rows = type(row)._default_manager.filter(pk=row.pk)
        try:
            with transaction.atomic():
                return bool(rows.update(**{field.name: fitting.replace("\0", "")[:room]}))
        except DatabaseError:  # one of those that never change
            return False


class NothingRuns(HostileWorld):
    def setUp(self) -> None:
        super().setUp()
        self.connection = connections["default"]
        self.asked_others: list[str] = []
        self.found: list[str] = []
        self.context = self.browser.new_context(viewport={"width": 1280, "height": 800})
        self.addCleanup(self.context.close)
        self.context.add_init_script(WATCH)
        self.tab = self.context.new_page()
        self.tab.route("**/*", self.answer)
        self.tab.on("request", self.note)
        self.tab.on("dialog", self.dialog)
        self.tab.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        self.tab.on("console", self.read_console)
        self.tab.on("popup", lambda popup: self.found.append(f"popup: {popup.url}"))

    def answer(self, route: Route) -> None:
        """From Django, as the signed-in owner; another host's is refused, and was written down."""
        request = route.request
        if not request.url.startswith(f"{ORIGIN}/") or request.method != "GET":
            route.abort()
            return
        # Playwright calls from a context of its own, which would get another connection: one
        # outside of the test's transaction, for which there are no rows.
        connections["default"] = self.connection
        parts = urlsplit(request.url)
        headers = {k: v for k, v in request.headers.items() if k.startswith(("hx-", "accept"))}
        place = f"{parts.path}?{parts.query}" if parts.query else parts.path
        said: Any = self.client.get(place, headers=headers)
        while said.status_code in (301, 302):
            if said["Location"].startswith("/sign-in/"):
                self.found.append(f"signed out at {place}")
            said = self.client.get(said["Location"])
        body = b"".join(said.streaming_content) if said.streaming else said.content
        route.fulfill(status=said.status_code, headers=dict(said.headers), body=body)

    def note(self, request: Request) -> None:
        if not request.url.startswith(f"{ORIGIN}/"):
            self.asked_others.append(request.url)

    def dialog(self, dialog: Dialog) -> None:
        self.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def read_console(self, message: Any) -> None:
        if "Content Security" in message.text or "Refused" in message.text:
            self.found.append(message.text)

    def visit(self, path: str, status: int = 200) -> None:
        answer = self.tab.goto(f"{ORIGIN}{path}", wait_until="load")
        assert answer is not None
        with self.subTest(path=path[:200]):
            self.assertEqual(answer.status, status)
            self.assert_quiet(path)

    def assert_quiet(self, path: str) -> None:
        self.assertEqual(self.tab.evaluate("window.RAN"), [], path)
        self.assertEqual(self.tab.url, f"{ORIGIN}{path}" if path in self.tab.url else path)
        self.assertEqual((self.found, self.asked_others), ([], []), path)
        # No element of ours would load from elsewhere either, were it not for the policy.
        loads = (
            "[...document.querySelectorAll('[src],[srcset],[poster],[background],object,embed')]"
        )
        outside = self.tab.evaluate(
            f"{loads}.map(e => e.src || e.outerHTML).filter(u => !u.startsWith(origin))"
        )
        self.assertEqual(outside, [], path)
        self.found.clear()
        self.asked_others.clear()

    def test_on_any_page_of_the_table(self) -> None:
        owner = WHO.index("owner") + 1
        things = {**self.things, "document": self.hostile().external_id}
        hostile = 0
        for table, names in ((TABLE, things), (ADMIN, self.things)):
            for what, row in table.items():
                if not what.startswith("GET ") or row[owner] not in (200, 403):
                    continue
                path = row[0].format(**{k: self.quoted(v) for k, v in names.items()})
                said: Any = self.client.get(path)
                kind = said.headers.get("Content-Type", "")
                if said.status_code == 200 and kind.startswith("text/html"):
                    self.visit(path)
                    hostile += "ran()" in self.tab.inner_text("body")
        self.assertGreater(hostile, 30)  # pages that do show them

    def test_on_the_lists_to_their_end_and_the_documents_themselves(self) -> None:
        for path in ("/documents", "/notes", "/history", "/imports", "/people"):
            for _page in range(6):
                self.visit(path)
                more = self.tab.locator("a[rel=next]")
                if not more.count():
                    break
                path = str(more.get_attribute("href"))
        for document in self.project.documents.order_by("pk")[: len(TEXTS) + 3]:
            if "\n" not in document.external_id:  # which no address can have
                self.visit(f"/documents/{self.quoted(document.external_id)}")

    def hostile(self) -> Document:
        """One that is ready, with many vectors in its text."""
        found = self.project.documents.filter(state=DocumentState.READY, title=VECTORS[0][:500])
        return found.get()

    def quoted(self, value: Any) -> str:
        return quote(str(value), safe="")


def test_the_watch_itself_sees_a_script_a_request_and_a_policy(browser: Browser) -> None:
    """A page without our walls, with the same vectors: or the tests above could not fail."""
    context = browser.new_context()
    context.add_init_script(WATCH)
    page: Page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def answer(route: Route) -> None:
        if route.request.url == f"{ORIGIN}/":
            body = "<!doctype html><title>x</title>" + "".join(ALONE[:110])
            route.fulfill(status=200, headers={"Content-Type": "text/html"}, body=body)
        else:
            route.abort()

    page.route("**/*", answer)
    page.goto(f"{ORIGIN}/", wait_until="domcontentloaded")
    page.wait_for_function("window.RAN.length > 3")
    assert any(url.startswith(EVIL) for url in asked)
    context.close()

"""Documents brought in the browser: an upload, its questions, its errors, and what changed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models import Q
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from review.guarded import Answer
from review.models import (
    Columns,
    Decision,
    DecisionKind,
    Document,
    DocumentRevision,
    DocumentState,
    Import,
    ImportProblem,
    ImportState,
    Project,
    Role,
    Standing,
)
from review.pipeline import importing
from review.pipeline.importing import bring_file, upload_folder
from review.pipeline.intake import Intake, take_in
from review.readers import Incoming
from review.tasks import load_import, sweep_up

from .base import README, HouseTestCase
from .test_worker import ROOT, database_url, worker  # noqa: F401 -- a fixture

SAMPLES = Path(__file__).resolve().parent / "samples"


class ImportingTestCase(HouseTestCase):
    @pytest.fixture(autouse=True)
    def _settings(self, settings: Settings) -> None:
        self.settings_of_test = settings

    def setUp(self) -> None:
        super().setUp()
        self.carol = self.member("carol", Role.CURATOR)
        self.client.force_login(self.carol)

    def bring(self, name: str, data: bytes | str, client: Client | None = None) -> HttpResponse:
        content = data if isinstance(data, bytes) else data.encode()
        fields = {"file": SimpleUploadedFile(name, content)}
        return (client or self.client).post("/imports/bring", fields)  # type: ignore[return-value]

    def brought(self, name: str, data: bytes | str) -> Import:
        """Uploaded, and loaded as a worker does."""
        answer = self.bring(name, data)
        self.assertEqual(answer.status_code, 302, answer.content.decode()[-2000:])
        record = Import.objects.get(pk=answer["Location"].rpartition("/")[2])
        load_import(record.pk)
        record.refresh_from_db()
        return record

    def uploads(self) -> list[str]:
        return [path.name for path in upload_folder().iterdir()]

    def html(self, path: str) -> str:
        return str(self.client.get(path).content.decode())

    def rows(self, count: int) -> str:
        return "\n".join(json.dumps({"id": n, "text": f"Text {n}."}) for n in range(count))


class Bringing(ImportingTestCase):
    def test_a_file_comes_in_once(self) -> None:
        data = (SAMPLES / "articles.jsonl").read_bytes()
        record = self.brought("articles.jsonl", data)
        self.assertEqual((record.state, record.added, record.user), ("done", 3, self.carol))
        self.assertEqual(record.bytes_done, len(data))
        self.assertEqual(self.brought("again.jsonl", data).unchanged, 3)
        self.assertEqual(Document.objects.count(), 3)
        self.assertEqual(self.uploads(), [])
        self.assertContains(self.client.get("/imports"), "again.jsonl")

    def test_every_sample_comes_in(self) -> None:
        for name, added in [("articles.json", 2), ("page.html", 1), ("notes.rst", 1)]:
            with self.subTest(name=name):
                record = self.brought(name, (SAMPLES / name).read_bytes())
                self.assertEqual((record.state, record.failed), ("done", 0))
                self.assertGreaterEqual(record.added + record.unchanged + record.replaced, added)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            for path in SAMPLES.iterdir():
                packed.write(path, path.name)
        self.assertEqual(self.brought("samples.zip", archive.getvalue()).rows, 2)

    def test_an_archive_that_is_refused_says_why(self) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("../a.md", "Words.")
        record = self.brought("bad.zip", archive.getvalue())
        self.assertEqual(record.state, ImportState.REFUSED)
        self.assertContains(self.client.get(f"/imports/{record.pk}"), "leads out of the archive")
        self.assertEqual(self.uploads(), [])

    def test_a_page_of_the_web_comes_in_by_its_address(self) -> None:
        html = (SAMPLES / "page.html").read_bytes()
        answer = Answer(200, {"content-type": "text/html"}, html, "https://example.org/meshes")
        with mock.patch("review.readers.web_page.fetch", return_value=answer):
            self.client.post("/imports/bring", {"url": "https://example.org/meshes#part"})
            load_import(Import.objects.get().pk)
        document = Document.objects.get()
        self.assertEqual(document.external_id, "https://example.org/meshes")
        self.assertEqual(document.title, "Meshes, explained")

    def test_an_internal_address_is_refused(self) -> None:
        self.client.post("/imports/bring", {"url": "http://169.254.169.254/latest/"})
        record = Import.objects.get()
        load_import(record.pk)
        self.assertContains(self.client.get(f"/imports/{record.pk}"), "not one of the public")

    def test_nothing_and_too_much_are_refused(self) -> None:
        self.settings_of_test.MAX_UPLOAD_BYTES = 1000
        for name, data in [("empty.md", ""), ("large.md", "x" * 1001)]:
            with self.subTest(name=name):
                self.assertEqual(self.bring(name, data).status_code, 422)
        for url in ("", "ftp://example.org/", "/etc/passwd"):
            self.assertEqual(self.client.post("/imports/bring", {"url": url}).status_code, 422)
        self.assertEqual((Import.objects.count(), self.uploads()), (0, []))

    def test_a_file_is_not_even_read_for_a_reviewer_or_another_site(self) -> None:
        reviewers, strict = Client(), Client(enforce_csrf_checks=True)
        reviewers.force_login(self.alice)
        strict.force_login(self.carol)
        with mock.patch("review.views.importing.ToDisk.receive_data_chunk") as received:
            self.assertEqual(self.bring("a.md", "Words.", reviewers).status_code, 403)
            received.assert_not_called()
        self.assertEqual(self.bring("a.md", "Words.", strict).status_code, 403)
        self.assertEqual((Import.objects.count(), self.uploads()), (0, []))

    def test_two_files_in_one_form_are_not_made_one(self) -> None:
        files = [SimpleUploadedFile(name, name.encode()) for name in ("a.md", "b.md")]
        self.client.post("/imports/bring", {"file": files})
        load_import(Import.objects.get().pk)
        self.assertIn(Document.objects.get().text, ("a.md", "b.md"))

    def test_a_name_leads_nowhere(self) -> None:
        record = self.brought("../../etc/pass\u202ewd.md", "Words.")
        self.assertEqual(record.name, "passwd.md")

    def test_errors_are_shown_and_can_be_taken_home(self) -> None:
        rows = ['{"id": "=1+1"}', "{", *(f'{{"id": {n}}}' for n in range(120))]
        record = self.brought("bad.jsonl", "\n".join(rows))
        self.assertEqual((record.state, record.failed), ("done", 122))
        page = self.html(f"/imports/{record.pk}")
        self.assertIn("“text” is missing.", page)
        self.assertIn("And 22 more", page)
        answer = self.client.get(f"/imports/{record.pk}/errors.csv")
        lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()  # type: ignore[attr-defined]
        self.assertEqual(lines[0], "line,id,field,reason")
        self.assertEqual(lines[1], "1,'=1+1,text,“text” is missing.")
        self.assertTrue(lines[2].startswith("2,,,This is not JSON"))
        self.assertEqual(len(lines), 123)

    def test_the_same_text_under_another_id_is_shown(self) -> None:
        rows = [{"id": "a", "text": "One."}, {"id": "b", "text": "One."}]
        record = self.brought("in.json", json.dumps(rows))
        self.assertEqual((record.added, record.duplicates), (2, 1))
        page = self.html(f"/imports/{record.pk}")
        self.assertRegex(page, r'documents/b">b</a>[^\n]*documents/a">a</a>')

    def test_another_project_s_imports_are_not_there(self) -> None:
        other = Project.objects.create(name="Another")
        record = Import.objects.create(project=other, name="secret.md", format="text")
        self.assertNotContains(self.client.get("/imports"), "secret.md")
        self.assertEqual(self.client.get(f"/imports/{record.pk}").status_code, 404)


class ATable(ImportingTestCase):
    TABLE = "Nr;Kommentar;Titel\n1;First.;One\n2;Second.;Two\n"

    def test_asks_which_column_is_which_and_remembers_it(self) -> None:
        answer = self.bring("table.csv", self.TABLE)
        record = Import.objects.get()
        load_import(record.pk)  # a worker leaves it alone
        page = self.html(answer["Location"])
        self.assertIn("Which column is which?", page)
        self.assertIn('<td dir="auto">First.</td>', page)
        self.assertIn('<option value="Nr" selected>', page)
        refused = self.client.post(f"/imports/{record.pk}/columns", {"id": "Nr"})
        self.assertContains(refused, "Say which column has the text.", status_code=422)
        refused = self.client.post(f"/imports/{record.pk}/columns", {"text": "Nowhere"})
        self.assertContains(refused, "There is no column", status_code=422)
        chosen = {"id": "Nr", "text": "Kommentar", "title": "Titel"}
        self.client.post(f"/imports/{record.pk}/columns", chosen)
        load_import(record.pk)
        document = Document.objects.get(external_id="2")
        self.assertEqual((document.text, document.title), ("Second.", "Two"))
        again = self.brought("other.csv", self.TABLE + "3;Third.;Three\n")
        self.assertEqual((again.state, again.added, again.unchanged), ("done", 1, 2))
        self.assertEqual(Columns.objects.get().columns, chosen)

    def test_a_table_that_is_none_is_refused_at_once(self) -> None:
        self.bring("table.csv", b"\xff\xfei\0d\0")
        self.assertIn("UTF-16", Import.objects.get().reason)
        self.assertEqual(self.uploads(), [])

    def test_need_not_be_loaded(self) -> None:
        self.bring("table.csv", self.TABLE)
        record = Import.objects.get()
        self.client.post(f"/imports/{record.pk}/stop")
        self.client.post(f"/imports/{record.pk}/columns", {"text": "Kommentar"})
        load_import(record.pk)
        record.refresh_from_db()
        self.assertEqual((record.state, self.uploads()), (ImportState.STOPPED, []))
        self.assertFalse(Document.objects.exists())


class Underway(ImportingTestCase):
    def test_the_page_tells_how_far_it_is_until_nothing_moves(self) -> None:
        self.bring("in.jsonl", self.rows(3))
        record = Import.objects.get()
        page = self.html(f"/imports/{record.pk}")
        self.assertIn('hx-trigger="every 1s"', page)
        self.assertIn('http-equiv="refresh"', page)  # without JavaScript
        Import.objects.update(state=ImportState.RUNNING, bytes_done=record.bytes_total // 2)
        moving = self.client.get(f"/imports/{record.pk}/progress")
        self.assertContains(moving, 'value="49"' if record.bytes_total % 2 else 'value="50"')
        self.assertNotIn("HX-Refresh", moving)
        Import.objects.update(state=ImportState.WAITING)
        load_import(record.pk)
        done = self.client.get(f"/imports/{record.pk}/progress")
        self.assertEqual(done["HX-Refresh"], "true")
        self.assertNotIn("every 1s", self.html(f"/imports/{record.pk}"))

    def test_one_that_was_stopped_stores_nothing_more(self) -> None:
        self.bring("in.jsonl", self.rows(2500))
        record = Import.objects.get()
        self.interrupt(record, 1500, lambda: self.client.post(f"/imports/{record.pk}/stop"))
        load_import(record.pk)
        record.refresh_from_db()
        self.assertEqual((record.state, record.added), (ImportState.STOPPED, 1000))
        self.assertEqual((Document.objects.count(), self.uploads()), (1000, []))

    def test_another_worker_goes_on_where_one_died(self) -> None:
        self.bring("in.jsonl", self.rows(1500) + "\n{\n" + self.rows(2500))
        record = Import.objects.get()

        def die() -> None:
            raise KeyboardInterrupt

        self.interrupt(record, 2600, die)
        load_import(record.pk)  # the dead one's lease still holds
        record.refresh_from_db()
        self.assertEqual((record.state, record.rows), (ImportState.RUNNING, 2000))
        self.assertEqual((record.added, record.failed, record.unchanged), (1500, 1, 499))
        Import.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        load_import(record.pk)
        record.refresh_from_db()
        self.assertEqual((record.state, record.rows), (ImportState.DONE, 4001))
        self.assertEqual((record.added, record.failed, record.unchanged), (2500, 1, 1500))
        self.assertEqual((Document.objects.count(), ImportProblem.objects.count()), (2500, 1))

    def test_one_that_kills_its_worker_is_set_aside(self) -> None:
        self.bring("in.jsonl", self.rows(3))
        for _ in range(4):
            with mock.patch("review.pipeline.importing.read_upload", side_effect=MemoryError):
                try:
                    load_import(Import.objects.get().pk)
                except MemoryError:
                    Import.objects.update(lease_expires_at=timezone.now())
        record = Import.objects.get()
        self.assertEqual(record.state, ImportState.REFUSED)
        self.assertIn("The worker died 3 times", record.reason)
        self.assertEqual(self.uploads(), [])

    def test_a_command_that_died_is_not_taken_up_by_a_worker(self) -> None:
        lost = Import.objects.create(
            project=self.project,
            name="/tmp/in.jsonl",
            format="jsonl",
            state=ImportState.RUNNING,
            lease_expires_at=timezone.now() - timedelta(seconds=1),
        )
        load_import(lost.pk)
        lost.refresh_from_db()
        self.assertIn("Give it again", lost.reason)

    def test_the_sweeper_tells_the_workers_again(self) -> None:
        self.bring("in.jsonl", self.rows(3))
        with mock.patch("review.tasks.load_import.apply_async") as told:
            sweep_up()
        told.assert_called_once_with([Import.objects.get().pk], queue="imports")

    def interrupt(self, record: Import, after: int, what: object) -> None:
        """Load it, and let something happen after so many rows were read."""
        real = importing.read_upload

        def read(*args: object) -> object:
            for number, incoming in enumerate(real(*args)):  # type: ignore[arg-type]
                if number == after:
                    what()  # type: ignore[operator]
                yield incoming

        with mock.patch("review.pipeline.importing.read_upload", read):
            try:
                load_import(record.pk)
            except KeyboardInterrupt:
                return


class ChangedSinceReview(ImportingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = self.ready("a")
        reviewers = Client()
        reviewers.force_login(self.alice)
        page = self.page(reviewers)
        reviewers.post(page.urls[0], page.fields)
        self.record = self.brought("in.jsonl", json.dumps({"id": "a", "text": "# New\n\nText."}))

    def answer(self, act: str, **fields: object) -> None:
        found = fields or {"revision": DocumentRevision.objects.get(waits=True).pk}
        self.client.post("/changed/answer", {"act": act, **found})
        self.target.refresh_from_db()

    def test_a_curator_sees_it_and_what_has_changed(self) -> None:
        self.assertEqual(self.record.kept, 1)
        told = "1 document has changed since it was reviewed"
        self.assertIn(told, self.html(f"/imports/{self.record.pk}"))
        self.assertIn(told, self.html("/imports"))
        self.assertIn("Document a", self.html(f"/changed?import={self.record.pk}"))
        self.assertNotIn("Document a", self.html(f"/changed?import={self.record.pk + 1}"))
        revision = DocumentRevision.objects.get()
        page = self.html(f"/changed/{revision.pk}")
        self.assertIn("<ins>+ # New</ins>", page)
        self.assertIn("<del>- # Requests</del>", page)

    def test_the_decisions_may_stand(self) -> None:
        self.answer("keep")
        self.assertEqual(self.target.text, "# New\n\nText.")
        self.assertEqual(self.target.state, DocumentState.REVIEWED)
        self.assertEqual(Standing.objects.count(), 1)
        before = DocumentRevision.objects.get()
        self.assertEqual((before.waits, before.text), (False, README))
        self.assertIn("There are none.", self.html("/changed"))

    def test_or_it_is_reviewed_again(self) -> None:
        self.answer("again")
        self.assertEqual(self.target.text, "# New\n\nText.")
        self.assertEqual((self.target.state, self.target.reviews), ("waiting", 0))
        self.assertFalse(Standing.objects.exists())
        undo = Decision.objects.get(kind=DecisionKind.UNDO)
        self.assertEqual((undo.reviewer, undo.undoes.reviewer), (self.carol, self.alice))  # type: ignore[union-attr]
        self.assertFalse(self.target.proposals.filter(current=True).exists())

    def test_all_are_answered_at_once_but_those_that_came_since(self) -> None:
        last = DocumentRevision.objects.get().pk
        late = DocumentRevision.objects.create(
            document=self.ready("late"), waits=True, text="Late.", sha256="0" * 64
        )
        self.answer("keep", last=last, **{"import": self.record.pk})
        self.assertEqual(list(DocumentRevision.objects.filter(waits=True)), [late])

    def test_a_text_is_answered_once(self) -> None:
        revision = DocumentRevision.objects.get().pk
        self.answer("keep")
        self.answer("again", revision=revision)
        self.assertEqual(self.target.state, DocumentState.REVIEWED)

    def test_another_project_s_texts_are_not_there(self) -> None:
        other = Client()
        owner = self.member("other", Role.OWNER)
        owner.memberships.update(project=Project.objects.create(name="Another"))
        other.force_login(owner)
        revision = DocumentRevision.objects.get().pk
        self.assertEqual(other.get(f"/changed/{revision}").status_code, 404)
        other.post("/changed/answer", {"act": "keep", "revision": revision})
        self.assertTrue(DocumentRevision.objects.get().waits)


KILLED = """
import django, os, sys
django.setup()
from review.pipeline import importing
importing.load(int(sys.argv[1]))
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_leaves_nothing_half_loaded(tmp_path: Path) -> None:
    project = Project.objects.create(name="Killed")
    from django.contrib.auth.models import User

    user = User.objects.create_user("carol")
    path = tmp_path / "in.jsonl"
    total = 12_000
    text = "word " * 300
    path.write_text("\n".join(json.dumps({"id": n, "text": f"{n} {text}"}) for n in range(total)))
    record = bring_file(project, user, "in.jsonl", path)
    env = {**os.environ, "DATABASE_URL": database_url()}
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(record.pk)], cwd=ROOT, env=env
        )
        before = record.rows
        deadline = time.monotonic() + 60
        while record.rows in (before, 0) and time.monotonic() < deadline:
            time.sleep(0.02)
            record.refresh_from_db()
        process.send_signal(signal.SIGKILL)
        process.wait()
        record.refresh_from_db()
        assert record.rows > 0
        assert Document.objects.count() == record.added == record.rows
        Import.objects.update(lease_expires_at=timezone.now())
    importing.load(record.pk)
    record.refresh_from_db()
    assert (record.state, record.added, record.rows) == (ImportState.DONE, total, total)
    assert Document.objects.filter(~Q(state=DocumentState.WAITING)).count() == 0
    assert Document.objects.count() == total


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_the_same_at_once_store_it_once() -> None:
    project = Project.objects.create(name="Twice")
    rows = [Incoming(str(number), f"Text {number}.") for number in range(3000)]
    found: list[Intake] = []

    def load(items: list[Incoming]) -> None:
        try:
            found.append(take_in(project, items))
        finally:
            connection.close()

    threads = [threading.Thread(target=load, args=[items]) for items in (rows, rows[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(intake.added for intake in found) == Document.objects.count() == 3000
    assert sum(intake.unchanged for intake in found) == 3000


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_a_worker_loads_what_was_uploaded(client: Client, tmp_path: Path) -> None:
    from django.contrib.auth.models import User

    from review.models import Membership

    project = Project.objects.create(name="Uploaded")
    carol = User.objects.create_user("carol")
    Membership.objects.create(project=project, user=carol, role=Role.CURATOR)
    client.force_login(carol)
    rows = "\n".join(json.dumps({"id": n, "text": f"Text {n}."}) for n in range(20))
    client.post("/imports/bring", {"file": SimpleUploadedFile("in.jsonl", rows.encode())})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not Import.objects.filter(state="done").exists():
        time.sleep(0.1)
    assert Import.objects.get().added == 20
